//! What the environment says about how this process was started: by mpirun, srun, torchrun, or alone.

/// One process among those that a launcher started together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// This process, from 0.
    pub rank: usize,
    /// Number of processes that were started together.
    pub world: usize,
    /// This process among those of its node, from 0.
    pub local_rank: usize,
    /// Whether they can find each other through PMIx, which is how Open MPI joins them.
    pub pmix: bool,
}

/// The variables in which a launcher counts: rank, world, rank on the node. A batch script sees `SLURM_NTASKS` too but is
/// one process; only tasks of a step have `SLURM_STEP_NUM_TASKS` together with `SLURM_PROCID`. torchrun stands before srun,
/// which may have started it. A launcher that counts several processes is preferred to one that counts a single one: variables of
/// an earlier job (`WORLD_SIZE=1`) must not make each of several tasks believe that it is alone.
const LAUNCHERS: [[&str; 3]; 4] = [
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"],
    ["RANK", "WORLD_SIZE", "LOCAL_RANK"],
    ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"],
    ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"],
];

impl Launch {
    /// The process with these variables. One that no launcher counts is alone. A rank may lie outside its world, if the
    /// variables say so: whoever joins the ranks refuses that.
    pub fn of(env: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| env(name).and_then(|text| text.parse::<usize>().ok());
        let pmix = ["PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"].iter().any(|name| env(name).is_some());
        let mut counted = LAUNCHERS.iter().filter_map(|[rank, world, local]| {
            let (rank, world) = (number(rank)?, number(world)?);
            // Without a count of its own, a node is taken to hold all of them.
            Some(Self { rank, world, local_rank: number(local).unwrap_or(rank), pmix })
        });
        // PMIx alone numbers the processes without a count: a second one is then outside a world of one, and refused.
        let uncounted = || Self { rank: number("PMIX_RANK").unwrap_or(0), world: 1, local_rank: 0, pmix };
        let first = counted.next().unwrap_or_else(uncounted);
        if first.world > 1 { first } else { counted.find(|launch| launch.world > 1).unwrap_or(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        Launch::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    fn expected(rank: usize, world: usize, local_rank: usize, pmix: bool) -> Launch {
        Launch { rank, world, local_rank, pmix }
    }

    #[test]
    fn a_launcher_is_recognised_by_its_variables() {
        assert_eq!(launch(&[]), expected(0, 1, 0, false));
        let mpirun = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1"), ("PMIX_RANK", "1")];
        assert_eq!(launch(&mpirun), expected(1, 4, 1, true));
        let srun = [("SLURM_PROCID", "5"), ("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_LOCALID", "1"), ("PMIX_RANK", "5")];
        assert_eq!(launch(&srun), expected(5, 8, 1, true));
        assert_eq!(launch(&srun[..3]), expected(5, 8, 1, false));
        let batch_script = [("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")];
        assert_eq!(launch(&batch_script), expected(0, 1, 0, false));
    }

    #[test]
    fn torchrun_counts_though_srun_started_it() {
        let one_task_a_node = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_LOCALID", "0")];
        let torchrun = [("RANK", "11"), ("WORLD_SIZE", "16"), ("LOCAL_RANK", "3")];
        assert_eq!(launch(&[&one_task_a_node[..], &torchrun[..]].concat()), expected(11, 16, 3, false));
    }

    #[test]
    fn variables_of_an_earlier_job_make_no_task_of_several_believe_that_it_is_alone() {
        let srun = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_LOCALID", "1"), ("PMIX_RANK", "1")];
        let left_over = [("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")];
        assert_eq!(launch(&[&left_over[..], &srun[..]].concat()), expected(1, 2, 1, true));
        assert_eq!(launch(&left_over), expected(0, 1, 0, false));
    }

    #[test]
    fn a_rank_outside_its_world_is_kept_for_whoever_refuses_it() {
        assert_eq!(launch(&[("RANK", "4"), ("WORLD_SIZE", "4")]), expected(4, 4, 4, false));
        assert_eq!(launch(&[("PMIX_RANK", "1")]), expected(1, 1, 0, true));
    }
}
