//! The text of a job array's script. Pure.

use std::path::Path;

use crate::command::shown;
use crate::slurm::job_batch::Job;
use crate::slurm::section::Shape;

/// What a script is made of.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// Whether the script trains or probes.
    pub(crate) job: Job,
    /// Name of the job, by which it is found again.
    pub(crate) name: &'a str,
    /// Which batch of which sweep it is, for people.
    pub(crate) comment: &'a str,
    /// The tasks, as [`array()`] writes them.
    pub(crate) array: &'a str,
    /// What each task asks for.
    pub(crate) shape: &'a Shape,
    /// Folder of the logs.
    pub(crate) logs: &'a Path,
    /// Folder in which tasks run: relative URIs of shard sets are meant from there.
    pub(crate) folder: &'a Path,
    /// Job array of which task N must have ended well before task N of this one begins.
    pub(crate) after: Option<&'a str>,
    /// This program and its arguments.
    pub(crate) command: &'a [String],
}

/// The script. It becomes the command (`exec`), so that Slurm's signal before the time limit (`B:`: to the script alone)
/// reaches the command itself, which passes it on and puts the task back into the queue.
pub(crate) fn text(script: &Script<'_>) -> String {
    let Script { job, name, comment, array, shape, logs, folder, after, command } = script;
    let log = logs.display().to_string().replace('%', "%%");
    let mut options = vec![
        format!("--job-name={name}"),
        format!("--comment={comment}"),
        format!("--array={array}"),
        format!("--nodes={}", shape.nodes),
        format!("--ntasks-per-node={}", shape.ntasks_per_node),
    ];
    let words = [
        ("partition", shape.partition.clone()),
        ("account", shape.account.clone()),
        ("qos", shape.qos.clone()),
        ("time", shape.time.clone()),
        ("gpus-per-node", shape.gpus_per_node.filter(|gpus| *gpus > 0).map(|gpus| gpus.to_string())),
        ("cpus-per-task", shape.cpus_per_task.map(|cpus| cpus.to_string())),
        ("mem", shape.mem.clone()),
    ];
    options.extend(words.into_iter().filter_map(|(key, value)| Some(format!("--{key}={}", value?))));
    if *job == Job::Train {
        options.push(format!("--signal=B:USR1@{}", shape.signal_s));
    }
    options.extend(["--requeue", "--open-mode=append", "--kill-on-invalid-dep=yes"].map(str::to_owned));
    options.push(format!("--output={}", quoted(&format!("{log}/{name}-%a.log"))));
    options.push(format!("--chdir={}", quoted(&folder.display().to_string())));
    options.extend(shape.extra.iter().cloned());
    options.extend(after.map(|job| format!("--dependency=aftercorr:{job}")));
    let lines: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
    format!("#!/bin/bash\n{lines}{}\n", shown("exec", command))
}

/// A value of an `#SBATCH` line.
fn quoted(value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./%:=+,@".contains(c));
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Tasks as Slurm writes them: `0-3,7`, and `%N` where at most N may run at once. `indexes` ascend.
pub(crate) fn array(indexes: &[u32], at_once: Option<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let part = |(first, last): &(u32, u32)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    let parts: Vec<String> = ranges.iter().map(part).collect();
    let limit = at_once.map(|n| format!("%{n}")).unwrap_or_default();
    format!("{}{limit}", parts.join(","))
}

/// What stands before the worker inside a job: one step of all the job's tasks.
///
/// A rank that is left over when another has ended may say why before it ends too (`--kill-on-bad-exit` would not let it), and
/// one that hangs is ended by Slurm (`--wait`). The CPUs of a task are named again, since from Slurm 22.05 on a step does not inherit them from its job.
pub(crate) fn srun(shape: &Shape) -> Vec<String> {
    let mut words = vec!["srun".to_owned(), "--input=none".to_owned(), "--kill-on-bad-exit=0".to_owned()];
    words.push("--wait=10".to_owned());
    words.push(if shape.tasks() > 1 { "--mpi=pmix" } else { "--mpi=none" }.to_owned());
    words.extend(shape.cpus_per_task.map(|cpus| format!("--cpus-per-task={cpus}")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::section::Section;
    use run_spec::layer::parse_yaml;

    fn shape(text: &str) -> Shape {
        Section::read(&parse_yaml(text, "slurm").unwrap())
            .unwrap()
            .shapes(&run_spec::config::Deltas::default())
            .unwrap()
            .train
    }

    fn script(job: Job, shape: &Shape, after: Option<&str>) -> String {
        let command = ["/opt/my tools/orchestrator", "task", "--store", "s3://b/s"].map(str::to_owned);
        text(&Script {
            job,
            name: "ablations-1a2b-train",
            comment: "sweep=d,wave=w,job=train",
            array: "0-5%2",
            shape,
            logs: Path::new("/scratch/100%/logs"),
            folder: Path::new("/home/me/red dino"),
            after,
            command: &command,
        })
    }

    #[test]
    fn a_training_script_is_signalled_requeued_and_asks_for_what_was_written() {
        let written = "{partition: gpu, account: lab, time: 24:00:00, nodes: 2, ntasks_per_node: 8, gpus_per_node: 8, \
                       cpus_per_task: 12, mem: 400G, extra: [--constraint=a100]}";
        let expected = "\
#!/bin/bash
#SBATCH --job-name=ablations-1a2b-train
#SBATCH --comment=sweep=d,wave=w,job=train
#SBATCH --array=0-5%2
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --time=24:00:00
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --mem=400G
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --output=/scratch/100%%/logs/ablations-1a2b-train-%a.log
#SBATCH --chdir=\"/home/me/red dino\"
#SBATCH --constraint=a100
exec '/opt/my tools/orchestrator' task --store s3://b/s
";
        assert_eq!(script(Job::Train, &shape(written), None), expected);
    }

    #[test]
    fn a_probe_waits_for_the_training_of_the_same_trial_and_takes_no_signal() {
        let text = script(Job::Probe, &shape("{}"), Some("77"));
        assert!(text.contains("#SBATCH --dependency=aftercorr:77\n"), "{text}");
        assert!(!text.contains("--signal") && !text.contains("gpus") && !text.contains("--time"), "{text}");
    }

    #[test]
    fn tasks_are_written_as_ranges() {
        assert_eq!(array(&[0, 1, 2, 4, 7, 8], Some(3)), "0-2,4,7-8%3");
        assert_eq!(array(&[5], None), "5");
    }

    #[test]
    fn several_tasks_meet_over_mpi_and_one_does_not() {
        assert_eq!(
            srun(&shape("{ntasks_per_node: 2, cpus_per_task: 4}")).join(" "),
            "srun --input=none --kill-on-bad-exit=0 --wait=10 --mpi=pmix --cpus-per-task=4"
        );
        assert!(srun(&shape("{}")).contains(&"--mpi=none".to_owned()));
    }
}
