//! The Slurm backend: submits batches and watches their jobs. It runs nothing, and ends without harm at any time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use store::Store;

use crate::attempt::{self, failure, log_of};
use crate::backend::{Adoption, Backend, Event, Ticket};
use crate::log;
use crate::progress;
use crate::records::{Cause, Claim, Plan, Trial};
use crate::slurm::client::Client;
use crate::slurm::job_batch::{self, Job, JobBatch, Member, TaskSetting};
use crate::slurm::job_phase::{self, Phase};
use crate::slurm::parse::{End, Task, Tasks};
use crate::slurm::section::Shapes;
use crate::slurm::submit::{self, Submission};
use crate::trial_state::{self, State, unix_s};

/// Pause of the loop between looks at a signal; Slurm is asked far more rarely.
const PAUSE: Duration = Duration::from_millis(100);
/// A question to Slurm is followed by so many times its own duration without one.
const EASE: u32 = 5;

/// What all batches of an invocation share.
#[derive(Debug, Clone)]
pub(crate) struct SlurmSettings {
    /// What the jobs of each arm ask for, by its name.
    pub(crate) shapes: BTreeMap<String, Shapes>,
    /// What the jobs of each baseline ask for, by its name.
    pub(crate) baseline_shapes: BTreeMap<String, Shapes>,
    /// Tasks of one array at most.
    pub(crate) max_array_size: u32,
    /// Time between two questions, at least.
    pub(crate) poll: Duration,
    /// How and where their tasks run.
    pub(crate) tasks: TaskSetting,
    /// Whether orchestrators on other machines count as dead.
    pub(crate) take_over: bool,
}

impl SlurmSettings {
    /// What the jobs of a trial ask for; those of a baseline what its first trial's probe does, since it trains nothing.
    pub(crate) fn shapes_of(&self, trial: &Trial<'_>) -> Option<&Shapes> {
        match trial.baseline {
            None => self.shapes.get(&trial.arm.name),
            Some(baseline) => self.baseline_shapes.get(&baseline.arm.name),
        }
    }
}

/// A trial whose jobs are watched.
#[derive(Debug)]
struct Watched<'a> {
    ticket: Ticket<'a>,
    batch: String,
    index: u32,
    description: String,
}

/// A batch, and its arrays as far as they are submitted.
#[derive(Debug)]
struct Open {
    batch: JobBatch,
    train: Option<u64>,
    probe: Option<u64>,
    settled: bool,
}

/// The batches of this invocation.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    store: &'a Store,
    plan: &'a Plan,
    client: Client,
    settings: SlurmSettings,
    batches: BTreeMap<String, Open>,
    watched: Vec<Watched<'a>>,
    due: Instant,
    silent: bool,
    notes: Vec<String>,
    queue: Option<Tasks>,
}

impl<'a> Watch<'a> {
    /// Watches the batches of `plan`.
    pub(crate) fn new(store: &'a Store, plan: &'a Plan, client: Client, settings: SlurmSettings) -> Self {
        Self {
            store,
            plan,
            client,
            settings,
            batches: BTreeMap::new(),
            watched: Vec::new(),
            due: Instant::now(),
            silent: false,
            notes: Vec::new(),
            queue: None,
        }
    }

    fn shapes_of(&self, trial: &Trial<'_>) -> Option<&Shapes> {
        self.settings.shapes_of(trial)
    }

    /// Submits what of a batch is not; a refusal ends the sweep, since every further batch of this shape would meet it too.
    fn advance(&mut self, key: &str) -> Result<()> {
        let (store, take_over) = (self.store, self.settings.take_over);
        let Some(open) = self.batches.get_mut(key) else { return Ok(()) };
        match submit::submit(store, &self.client, &open.batch, take_over)? {
            Submission::Done => open.settled = true,
            Submission::Later(description) => say_silent(&mut self.silent, &mut self.notes, &description),
            Submission::Theirs => {}
            Submission::Refused(description) => {
                for index in 0..open.batch.members.len() as u32 {
                    let (trial, attempt) = open.batch.trial(index)?;
                    let record =
                        failure(Cause::Refused, "train", format!("Slurm refused it: {description}"), Vec::new());
                    trial_state::record_failure(store, &trial, attempt, &record)?;
                }
                let script =
                    open.batch.setting.work.join("slurm").join(format!("{}.sh", open.batch.job_name(Job::Train)));
                bail!(
                    "Slurm refused {}: {description}: change the section `slurm` of the sweep file (the script is {})",
                    open.batch.job_name(Job::Train),
                    script.display()
                );
            }
        }
        open.train = open.batch.submitted(store, Job::Train)?;
        open.probe = open.batch.submitted(store, Job::Probe)?;
        if let (true, Some(train), Some(probe)) = (open.settled, open.train, open.probe) {
            let trials = terminal::counted(open.batch.members.len(), "trial");
            self.notes.push(format!("{trials} submitted: job {train} trains, job {probe} probes"));
        }
        Ok(())
    }

    /// What Slurm knows now; `None` while it does not answer.
    fn ask(&mut self) -> Option<Tasks> {
        let began = Instant::now();
        let answer = self.client.queue();
        self.due = Instant::now() + self.settings.poll.max(began.elapsed() * EASE);
        match answer {
            Ok(tasks) => {
                if std::mem::replace(&mut self.silent, false) {
                    self.notes.push("Slurm answers again".to_owned());
                }
                Some(tasks)
            }
            Err(trouble) => {
                say_silent(&mut self.silent, &mut self.notes, &trouble.to_string());
                None
            }
        }
    }

    fn tasks_of(&self, watched: &Watched<'_>) -> (Option<Task>, Option<Task>) {
        let open = self.batches.get(&watched.batch);
        let task = |array: Option<u64>| array.map(|array| Task { array, index: watched.index });
        (task(open.and_then(|open| open.train)), task(open.and_then(|open| open.probe)))
    }

    fn phase_of(&self, watched: &Watched<'_>, tasks: &Tasks) -> Phase {
        let (train, probe) = self.tasks_of(watched);
        if !self.batches.get(&watched.batch).is_some_and(|open| open.settled) {
            return Phase::Under {
                job: Job::Train,
                description: "waiting for Slurm to take it".to_owned(),
                runs: false,
            };
        }
        let seen = |task: Option<Task>| task.and_then(|task| tasks.get(&task));
        let name = |task: Option<Task>| task.map(|task| task.to_string()).unwrap_or_default();
        match job_phase::phase(seen(train), seen(probe)) {
            Phase::Under { job, description, runs } => {
                let description = format!("{description}, Slurm job {}", name(job.of(train, probe)));
                Phase::Under { job, description, runs }
            }
            over => over,
        }
    }

    /// Records the end of a trial whose jobs are over, unless it has done so itself.
    fn settle(&self, watched: &Watched<'a>, over: Option<&(End, String)>) -> Result<()> {
        let Ticket { trial, attempt } = watched.ticket;
        // Asked after Slurm was: a record that the job has written is there by now.
        let State::Claimed { attempt: newest, .. } = trial_state::state(self.store, &trial)? else { return Ok(()) };
        if newest != attempt {
            return Ok(());
        }
        let (_, description) = attempt::reason(&log_of(&self.settings.tasks.work, &trial, attempt));
        let (cause, message) = job_phase::failure(over, &description);
        let record = failure(cause, "", message, Vec::new());
        trial_state::record_failure(self.store, &trial, attempt, &record)
    }

    /// What the accounts say of trials that the queue no longer knows, in one question.
    fn remembered(&self, tasks: &mut Tasks) {
        let mut gone = Vec::new();
        for watched in &self.watched {
            if matches!(self.phase_of(watched, tasks), Phase::Over(None)) {
                let (train, probe) = self.tasks_of(watched);
                gone.extend(train.into_iter().chain(probe).filter(|task| !tasks.contains_key(task)));
            }
        }
        if !gone.is_empty() {
            tasks.extend(self.client.accounts(&gone));
        }
    }
}

/// A batch of `tickets`, whose arms all ask for `shapes`.
pub(crate) fn batch_of(plan: &Plan, tickets: &[Ticket<'_>], shapes: &Shapes, settings: &SlurmSettings) -> JobBatch {
    let member = |ticket: &Ticket<'_>| Member {
        arm: ticket.trial.arm.name.clone(),
        seed: ticket.trial.seed,
        attempt: ticket.attempt,
    };
    let members: Vec<Member> = tickets.iter().map(member).collect();
    JobBatch {
        id: job_batch::new_id(plan, &members, &settings.tasks.store),
        plan: job_batch::plan_of(plan, &members),
        members,
        shapes: shapes.clone(),
        setting: settings.tasks.clone(),
        unix_s: unix_s(),
    }
}

fn say_silent(silent: &mut bool, notes: &mut Vec<String>, description: &str) {
    if !std::mem::replace(silent, true) {
        notes.push(format!("Slurm did not do what was requested ({description}): waiting, then asking again"));
    }
}

impl<'a> Backend<'a> for Watch<'a> {
    /// Trials of one shape are submitted together; the next batch of a shape when the one before has ended.
    fn takes(&self, trial: &Trial<'a>, chosen: &[Ticket<'a>]) -> bool {
        let shapes = self.shapes_of(trial);
        let same = |other: &Trial<'_>| self.shapes_of(other) == shapes;
        let under_way = self.watched.iter().any(|watched| same(&watched.ticket.trial));
        let beside = chosen.iter().filter(|ticket| same(&ticket.trial)).count();
        !under_way && beside < self.settings.max_array_size as usize
    }

    fn start(&mut self, tickets: Vec<Ticket<'a>>) -> Result<Vec<Event<'a>>> {
        let mut groups: Vec<(Shapes, Vec<Ticket<'a>>)> = Vec::new();
        for ticket in tickets {
            let Some(shapes) = self.shapes_of(&ticket.trial).cloned() else { continue };
            match groups.iter_mut().find(|(known, _)| *known == shapes) {
                Some((_, group)) => group.push(ticket),
                None => groups.push((shapes, vec![ticket])),
            }
        }
        let mut events = Vec::new();
        for (shapes, group) in groups {
            let batch = batch_of(self.plan, &group, &shapes, &self.settings);
            let key = batch.key();
            self.store.create_record_once(&job_batch::record_key(&key), &batch)?;
            submit::hold(self.store, &batch, false)?;
            let theirs = submit::claim(self.store, &batch)?;
            for (index, ticket) in (0u32..).zip(group) {
                if theirs.contains(&index) {
                    events.push(Event::Taken(ticket.trial));
                } else {
                    self.watched.push(Watched { ticket, batch: key.clone(), index, description: String::new() });
                }
            }
            self.batches.insert(key.clone(), Open { batch, train: None, probe: None, settled: false });
            self.advance(&key)?;
        }
        self.due = Instant::now();
        Ok(events)
    }

    fn adopt(&mut self, ticket: Ticket<'a>, claim: &Claim) -> Result<Adoption> {
        let Some(key) = claim.batch.clone() else { return Ok(Adoption::NotMine) };
        if !self.batches.contains_key(&key) {
            let batch: JobBatch = match self.store.read_record_if_whole(&job_batch::record_key(&key))? {
                Ok(batch) => batch,
                Err(what) => {
                    self.notes.push(what.to_string());
                    return Ok(Adoption::NotMine);
                }
            };
            self.batches.insert(key.clone(), Open { batch, train: None, probe: None, settled: false });
            self.advance(&key)?;
            // What was known before knows nothing of jobs submitted just now.
            self.queue = None;
        }
        let index = self.batches.get(&key).and_then(|open| open.batch.index_of(&ticket.trial, ticket.attempt));
        let Some(index) = index else { return Ok(Adoption::NotMine) };
        let watched = Watched { ticket, batch: key, index, description: String::new() };
        if self.queue.is_none() {
            self.queue = self.ask();
        }
        if let Some(mut tasks) = self.queue.clone() {
            if let (Phase::Over(None), (train, probe)) = (self.phase_of(&watched, &tasks), self.tasks_of(&watched)) {
                tasks.extend(self.client.accounts(&train.into_iter().chain(probe).collect::<Vec<_>>()));
            }
            if let Phase::Over(over) = self.phase_of(&watched, &tasks) {
                self.settle(&watched, over.as_ref())?;
                return Ok(Adoption::Ended);
            }
        }
        self.watched.push(watched);
        Ok(Adoption::Watched)
    }

    fn poll(&mut self, places: bool) -> Result<Vec<Event<'a>>> {
        let mut events: Vec<Event<'a>> = self.notes.drain(..).map(Event::Note).collect();
        if places {
            for watched in self.watched.iter().filter(|watched| !watched.description.is_empty()) {
                let Ticket { trial, attempt } = watched.ticket;
                let place = progress::place(&log::tail(&log_of(&self.settings.tasks.work, &trial, attempt), 4096));
                let stage = watched.description.split(':').next().unwrap_or_default().to_owned();
                events.push(Event::Progress(watched.ticket, stage, place));
            }
        }
        if self.watched.is_empty() || Instant::now() < self.due {
            return Ok(events);
        }
        let unsettled: Vec<String> =
            self.batches.iter().filter(|(_, open)| !open.settled).map(|(key, _)| key.clone()).collect();
        for key in unsettled {
            self.advance(&key)?;
        }
        self.queue = None;
        let Some(mut tasks) = self.ask() else { return Ok(events) };
        self.remembered(&mut tasks);
        let mut still = Vec::new();
        for mut watched in std::mem::take(&mut self.watched) {
            match self.phase_of(&watched, &tasks) {
                Phase::Under { description, runs, .. } => {
                    if runs && watched.description != description {
                        watched.description.clone_from(&description);
                        events.push(Event::Stage(watched.ticket, description));
                    }
                    still.push(watched);
                }
                Phase::Over(over) => {
                    self.settle(&watched, over.as_ref())?;
                    let Ticket { trial, attempt } = watched.ticket;
                    events.push(Event::Ended(watched.ticket, None, log_of(&self.settings.tasks.work, &trial, attempt)));
                }
            }
        }
        self.watched = still;
        let watched = &self.watched;
        self.batches.retain(|key, _| watched.iter().any(|watched| watched.batch == *key));
        self.queue = Some(tasks);
        Ok(events)
    }

    fn start_no_more(&mut self) {
        let arrays: Vec<u64> = self.batches.values().filter_map(|open| open.train).collect();
        if let Err(trouble) = self.client.cancel(&arrays, true) {
            self.notes
                .push(format!("pending jobs were not cancelled ({trouble}): cancel them with `orchestrator cancel`"));
        }
    }

    fn stop(&mut self) {
        self.watched.clear();
    }

    fn running(&self) -> usize {
        self.watched.len()
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn farewell(&self) -> String {
        format!(
            "Interrupted. The Slurm jobs continue: the same command watches them again, and `orchestrator cancel {} --store {}` stops them.",
            self.plan.name,
            self.store.uri()
        )
    }
}
