//! The ranks of a run: which backend joins them, and how they agree on what is not a tensor.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use collective::nccl::{CudaStreams, Joining, Library, Nccl, NcclError, OVERRIDE};
use collective::rendezvous::{Board, RendezvousError};
use collective::watch::{Rules, Stuck, WorldEnd};
use collective::{
    Collective, CollectiveError, ControlChannel, Launch, Patience, Solo, Watched, broadcast_bytes, sum_numbers,
};
use run_spec::config::Collective as Wanted;
use run_spec::plan::Place;
use serde::{Serialize, de::DeserializeOwned};

mod meeting;

pub use meeting::NoteInRun;

/// A process that has not been heard of for so long is given up, and the world with it. A rank that lives says several
/// times a second that it does, whatever else it waits for.
const SILENCE: Duration = Duration::from_secs(12);
/// What a rank may take at the store before its peers give it up: the store itself tries again for up to a quarter of an
/// hour, and a checkpoint of tens of gigabytes takes minutes.
const AT_STORE: Duration = Duration::from_secs(30 * 60);
/// What ranks that a launcher started together may take to meet: the slowest of them loads its libraries from a shared disk.
/// Until they have met they cannot watch one another.
const MEETING: Duration = Duration::from_secs(300);
/// What a rank may take to end by itself when the world has ended.
const GRACE: Duration = Duration::from_secs(6);

/// Why ranks cannot join or go on together.
#[derive(Debug, thiserror::Error)]
pub enum RanksError {
    /// The launcher's variables contradict each other.
    #[error(
        "the launcher's variables say that this process is rank {rank} of {world}, and ranks count from 0; set RANK and WORLD_SIZE right, or \
         unset them where one process trains alone"
    )]
    OutsideWorld {
        /// Rank of this process, by the launcher's variables.
        rank: usize,
        /// Number of processes that were started together.
        world: usize,
    },
    /// NCCL is wanted for tensors in host memory.
    #[error(
        "collective: nccl needs tensors on a CUDA device; set device: cuda on a GPU node, or collective: auto or mpi on a CPU"
    )]
    NcclOnCpu,
    /// MPI is wanted for tensors on a GPU.
    #[error(
        "collective: mpi reaches host memory only, and the tensors are on a CUDA device; set collective: auto or nccl, or device: cpu"
    )]
    MpiOnCuda,
    /// The launcher started several tasks, and nothing joins them.
    #[error(
        "{world} tasks were started, but not in a way that MPI can join them; start them with `srun --mpi=pmix` or `mpirun`, \
         or set collective: solo to train the same run {world} times over"
    )]
    NotByMpi {
        /// Number of processes that were started together.
        world: usize,
    },
    /// The program was built without MPI.
    #[error("collective: mpi is not in this program; build it with the feature `mpi` (it is in the default build)")]
    WithoutMpi,
    /// NCCL does not load.
    #[error("{0}")]
    Nccl(#[from] NcclError),
    /// The ranks do not find each other.
    #[error("{0}")]
    Rendezvous(#[from] RendezvousError),
    /// A collective call failed on this rank.
    #[error("{0}")]
    Collective(#[from] CollectiveError),
    /// Other ranks failed, and this one stops with them.
    #[error("{failed} of {world} ranks could not go on; their logs say why")]
    Others {
        /// The number of ranks that failed.
        failed: usize,
        /// The number of all ranks.
        world: usize,
    },
    /// What the first rank sent is not what this rank expects: they run different programs.
    #[error("read what rank 0 sent")]
    Received(#[source] serde_json::Error),
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

type Result<T, E = RanksError> = std::result::Result<T, E>;

/// Ends a process whose main thread waits for a peer and cannot return.
pub trait ForcedEnd: Debug + Send + Sync {
    /// The world has ended, and this rank did not end by itself.
    fn stuck(&self, end: &WorldEnd);
    /// A rank did not join in time, as the sentence says.
    fn not_joined(&self, sentence: &str);
}

/// Passes the watch's call on.
#[derive(Debug)]
struct OnStuck(Arc<dyn ForcedEnd>);

impl Stuck for OnStuck {
    fn on_stuck(&self, end: &WorldEnd) {
        self.0.stuck(end);
    }
}

/// How ranks are to join.
#[derive(Debug, Clone)]
pub struct RankSettings {
    /// What the configuration wants.
    pub wanted: Wanted,
    /// Where the tensors are.
    pub device: tch::Device,
    /// A call that waits longer than this for its peers fails, and the world with it.
    pub deadline: Duration,
    /// What the launcher says.
    pub launch: Launch,
    /// Name of this host, for the others' messages.
    pub host: String,
    /// Looks a variable of the environment up: launchers say in some of them where ranks meet.
    pub variable: fn(&str) -> Option<String>,
    /// Where rank 0 can leave a note for ranks that know no address.
    pub board: Option<Arc<dyn Board>>,
    /// What to do when this process cannot end by itself.
    pub forced_end: Arc<dyn ForcedEnd>,
}

/// The ranks, seen from one of them.
#[derive(Debug)]
pub struct Ranks {
    peers: Watched,
    description: String,
}

impl Ranks {
    /// Joins the ranks that a launcher started.
    ///
    /// # Errors
    /// What cannot join them; a peer that is lost meanwhile.
    pub fn join(settings: &RankSettings) -> Result<Self> {
        let RankSettings { launch, deadline, .. } = settings;
        let (launch, deadline) = (*launch, *deadline);
        let patience = Patience::from(deadline);
        let way = decide(settings.wanted, settings.device, &launch)?;
        if way == Way::Solo {
            return Ok(Self::solo());
        }
        let met = meeting::limit(MEETING.min(deadline), settings)?;
        let joined = match way {
            Way::Nccl(gpu) => nccl(gpu, settings, &patience)?,
            Way::Mpi | Way::Solo => mpi(&launch, &patience)?,
        };
        let at_store = AT_STORE.max(deadline);
        let rules = Rules {
            host: settings.host.clone(),
            node_name: (settings.variable)("SLURMD_NODENAME"),
            clock: Arc::new(SystemClock::default()),
            silence: SILENCE,
            deadline,
            at_store,
            grace: GRACE,
            stuck: Arc::new(OnStuck(Arc::clone(&settings.forced_end))),
        };
        let peers = Watched::join(joined.peers, rules)?;
        drop(met);
        match peers.unwatched() {
            // Whoever waits too long is ended by the watch, which knows who is late; the calls' own limit comes after it.
            None => patience.set(at_store + deadline),
            Some(why) => tracing::warn!(
                why,
                "the ranks cannot watch each other over TCP: a rank that dies or hangs is noticed only after train.step_deadline_s"
            ),
        }
        Ok(Self { peers, description: joined.description })
    }

    /// A world of one.
    pub fn solo() -> Self {
        Self { peers: Watched::alone(Box::new(Solo::new())), description: "one rank".to_owned() }
    }

    /// Ranks that are joined already, and do not watch one another.
    pub fn joined(peers: Box<dyn Collective>) -> Self {
        let description = format!("{} ranks", peers.world());
        Self { peers: Watched::alone(peers), description }
    }

    /// How many they are and what joins them, for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The connection that reduces and broadcasts tensors over all ranks.
    pub fn peers(&self) -> &dyn Collective {
        &self.peers
    }

    /// Tells the others what this rank does from now on, for the sentence about it should it die or hang.
    pub(crate) fn note(&self, doing: impl std::fmt::Display) {
        self.peers.note(doing);
    }

    /// Does `work` that reads or writes at the store: the others wait longer for it than for a step.
    pub(crate) fn at_store<T>(&self, doing: impl std::fmt::Display, work: impl FnOnce() -> T) -> T {
        self.peers.at_store(doing, work)
    }

    /// Whether the world ended because a rank died or hung, so that a new start may go well.
    pub(crate) fn lost(&self) -> bool {
        self.peers.world_end().is_some_and(|end| end.lost)
    }

    /// How long this rank has waited for others so far, as far as the host waits for them.
    pub(crate) fn waited(&self) -> Duration {
        self.peers.waited()
    }

    /// This rank, from 0.
    pub fn rank(&self) -> usize {
        self.peers.rank()
    }

    /// The number of ranks that train together.
    pub fn world(&self) -> usize {
        self.peers.world()
    }

    /// This rank among all, as plans count them.
    pub fn place(&self) -> Place {
        Place { rank: self.rank() as u64, world: self.world() as u64 }
    }

    /// Whether this is the rank that speaks and writes for all.
    pub fn first(&self) -> bool {
        self.rank() == 0
    }

    /// Tells the other ranks that this one fails, and why: they would wait for it otherwise.
    pub fn abort(&self, reason: &str) {
        self.peers.abort(reason);
    }

    /// Goes on only if `result` is good on every rank: one that fails alone would leave the others waiting.
    ///
    /// # Errors
    /// That of `result`; [`RanksError::Others`]; a lost peer.
    pub fn agree<T, E: From<RanksError>>(&self, result: Result<T, E>) -> Result<T, E> {
        let failed = match self.sum(f64::from(u8::from(result.is_err()))) {
            Ok(failed) => failed,
            // The others may have given up because of this one before it heard their answer: its own reason is the better one.
            Err(_) if result.is_err() => return result,
            Err(error) => return Err(error.into()),
        };
        match result {
            Ok(_) if failed > 0.0 => Err(RanksError::Others { failed: failed as usize, world: self.world() }.into()),
            result => result,
        }
    }

    /// What the first rank makes, on all of them.
    ///
    /// # Errors
    /// That of `make` on the first rank; [`RanksError::Others`] on the others; a lost peer.
    pub(crate) fn made_by_first<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<RanksError> + From<serde_json::Error>,
    {
        let made = if self.first() { Some(make()).transpose() } else { Ok(None) };
        let made = self.agree(made)?;
        let bytes = made.as_ref().map(serde_json::to_vec).transpose()?;
        let bytes = broadcast_bytes(self.peers(), bytes.unwrap_or_default(), 0).map_err(RanksError::from)?;
        match made {
            Some(made) => Ok(made),
            None => Ok(serde_json::from_slice(&bytes).map_err(RanksError::Received)?),
        }
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    /// A lost peer.
    pub(crate) fn any(&self, mine: bool) -> Result<bool> {
        Ok(self.count([mine])?[0] > 0)
    }

    /// How many ranks say so, of each of several things.
    ///
    /// # Errors
    /// A lost peer.
    pub(crate) fn count<const N: usize>(&self, mine: [bool; N]) -> Result<[usize; N]> {
        let sums = sum_numbers(self.peers(), &mine.map(|mine| f64::from(u8::from(mine))))?;
        Ok(std::array::from_fn(|i| sums[i] as usize))
    }

    /// What each rank says, in their order, on all of them.
    ///
    /// # Errors
    /// A lost peer.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(&self, mine: &T) -> Result<Vec<T>> {
        let mine = serde_json::to_vec(mine).map_err(RanksError::Received)?;
        let of = |rank| -> Result<T> {
            let own = if rank == self.rank() { mine.clone() } else { Vec::new() };
            serde_json::from_slice(&broadcast_bytes(self.peers(), own, rank)?).map_err(RanksError::Received)
        };
        (0..self.world()).map(of).collect()
    }

    fn sum(&self, mine: f64) -> Result<f64> {
        Ok(sum_numbers(self.peers(), &[mine])?[0])
    }
}

/// Ranks that a backend joined.
struct Joined {
    peers: Box<dyn Collective>,
    description: String,
}

/// What joins the ranks.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Solo,
    Mpi,
    /// With this CUDA device.
    Nccl(usize),
}

/// What a configuration and a launcher ask for together.
fn decide(wanted: Wanted, device: tch::Device, launch: &Launch) -> Result<Way> {
    if launch.rank >= launch.world {
        return Err(RanksError::OutsideWorld { rank: launch.rank, world: launch.world });
    }
    match (wanted, device) {
        (Wanted::Solo, _) => Ok(Way::Solo),
        (Wanted::Auto, _) if launch.world <= 1 => Ok(Way::Solo),
        (Wanted::Nccl | Wanted::Auto, tch::Device::Cuda(gpu)) => Ok(Way::Nccl(gpu)),
        (Wanted::Nccl, _) => Err(RanksError::NcclOnCpu),
        (Wanted::Mpi, tch::Device::Cuda(_)) => Err(RanksError::MpiOnCuda),
        (Wanted::Auto, _) if !launch.pmix => Err(RanksError::NotByMpi { world: launch.world }),
        (Wanted::Mpi | Wanted::Auto, _) => Ok(Way::Mpi),
    }
}

/// The ranks over NCCL. They find each other over MPI where that started them, else over TCP.
fn nccl(gpu: usize, settings: &RankSettings, patience: &Patience) -> Result<Joined> {
    let launch = &settings.launch;
    let library = Library::open((settings.variable)(OVERRIDE).as_deref().map(Path::new))?;
    let control: Box<dyn ControlChannel> = match mpi_channel(launch, patience)? {
        Some(control) => control,
        None => Box::new(meeting::over_tcp(settings, patience)?),
    };
    let deadline = patience.clone();
    let nccl = Nccl::join(Joining { library, streams: Arc::new(CudaStreams::of(gpu)), control, deadline })?;
    let description = format!("{} ranks over NCCL {}", nccl.world(), nccl.version());
    Ok(Joined { peers: Box::new(nccl), description })
}

#[cfg(feature = "mpi")]
fn mpi(launch: &Launch, patience: &Patience) -> Result<Joined> {
    let mpi = collective::Mpi::join(launch, patience.clone())?;
    let description = format!("{} ranks over {}", Collective::world(&mpi), mpi.library());
    Ok(Joined { peers: Box::new(mpi), description })
}

#[cfg(not(feature = "mpi"))]
fn mpi(_: &Launch, _: &Patience) -> Result<Joined> {
    Err(RanksError::WithoutMpi)
}

#[cfg(feature = "mpi")]
fn mpi_channel(launch: &Launch, patience: &Patience) -> Result<Option<Box<dyn ControlChannel>>> {
    let join = || -> Result<Box<dyn ControlChannel>> { Ok(Box::new(collective::Mpi::join(launch, patience.clone())?)) };
    launch.pmix.then(join).transpose()
}

#[cfg(not(feature = "mpi"))]
fn mpi_channel(_: &Launch, _: &Patience) -> Result<Option<Box<dyn ControlChannel>>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn launch(world: usize, pmix: bool) -> Launch {
        Launch { rank: 0, world, local_rank: 0, pmix }
    }

    #[test]
    fn the_device_and_the_launcher_decide_what_joins_the_ranks() {
        let auto = |device, world, pmix| decide(Wanted::Auto, device, &launch(world, pmix)).unwrap();
        assert_eq!(auto(Device::Cpu, 1, false), Way::Solo);
        assert_eq!(auto(Device::Cuda(0), 1, true), Way::Solo);
        assert_eq!(auto(Device::Cpu, 2, true), Way::Mpi);
        assert_eq!(auto(Device::Cuda(3), 8, true), Way::Nccl(3));
        assert_eq!(auto(Device::Cuda(3), 8, false), Way::Nccl(3));
        assert_eq!(decide(Wanted::Solo, Device::Cuda(0), &launch(8, true)).unwrap(), Way::Solo);
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_remedy() {
        let refused = |wanted, device| decide(wanted, device, &launch(2, false)).unwrap_err().to_string();
        assert!(refused(Wanted::Nccl, Device::Cpu).contains("set device: cuda on a GPU node"));
        assert!(refused(Wanted::Mpi, Device::Cuda(0)).contains("set collective: auto or nccl"));
        assert!(refused(Wanted::Auto, Device::Cpu).contains("srun --mpi=pmix"));
        let outside = Launch { rank: 4, world: 4, local_rank: 0, pmix: false };
        let error = decide(Wanted::Auto, Device::Cpu, &outside).unwrap_err().to_string();
        assert!(error.contains("rank 4 of 4") && error.contains("WORLD_SIZE"), "{error}");
    }
}
