//! The ranks of a run: which backend joins them, and how they agree on what is not a tensor.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use collective::{Collective, Solo, broadcast_bytes, sum_numbers};
use run_spec::config::Collective as Wanted;
use serde::{Serialize, de::DeserializeOwned};

/// How long a rank waits for its peers before it gives the world up. Long enough for one of them to read a checkpoint.
const DEADLINE: Duration = Duration::from_secs(1800);

/// The ranks, seen from one of them.
#[derive(Debug)]
pub(crate) struct Ranks {
    peers: Box<dyn Collective>,
    /// What joins them, in words.
    pub(crate) words: String,
}

impl Ranks {
    /// Joins the ranks that a launcher started, as a configuration wants it.
    pub(crate) fn join(wanted: Wanted) -> Result<Self> {
        let launched = Launched::of(|name| std::env::var(name).ok());
        match wanted {
            Wanted::Auto if launched.ranks <= 1 => Ok(Self::solo()),
            Wanted::Auto if launched.pmix => mpi(),
            Wanted::Auto => bail!(
                "{} tasks were started, but not in a way that MPI can join them; start them with `srun --mpi=pmix` or `mpirun`, \
                 or set collective: solo to train the same run {} times over",
                launched.ranks,
                launched.ranks
            ),
            Wanted::Solo => Ok(Self::solo()),
            Wanted::Mpi => mpi(),
            Wanted::Nccl => bail!("collective: nccl needs a CUDA device; set collective: auto or mpi on a CPU machine"),
        }
    }

    /// A world of one.
    pub(crate) fn solo() -> Self {
        Self { peers: Box::new(Solo::new()), words: "one rank".to_owned() }
    }

    /// For tensors.
    pub(crate) fn peers(&self) -> &dyn Collective {
        self.peers.as_ref()
    }

    /// This rank, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.peers.rank()
    }

    /// Number of ranks.
    pub(crate) fn world(&self) -> usize {
        self.peers.world()
    }

    /// Whether this is the rank that speaks and writes for all.
    pub(crate) fn first(&self) -> bool {
        self.rank() == 0
    }

    /// Tells the other ranks if this one fails: they would wait for it otherwise.
    pub(crate) fn or_abort<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.peers.abort(&crate::sentence(error)))
    }

    /// Goes on only if `result` is good on every rank: one that fails alone would leave the others waiting.
    pub(crate) fn agree<T>(&self, result: Result<T>) -> Result<T> {
        let failed = sum_numbers(self.peers(), &[f64::from(u8::from(result.is_err()))])?[0];
        match result {
            Ok(_) if failed > 0.0 => bail!("{failed} of {} ranks could not go on; their logs say why", self.world()),
            result => result,
        }
    }

    /// What the first rank makes, on all of them.
    pub(crate) fn made_by_first<T: Serialize + DeserializeOwned>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let made = if self.first() { Some(make()).transpose() } else { Ok(None) };
        let made = self.agree(made)?;
        let bytes = made.as_ref().map(serde_json::to_vec).transpose()?;
        let bytes = broadcast_bytes(self.peers(), bytes.unwrap_or_default(), 0)?;
        match made {
            Some(made) => Ok(made),
            None => serde_json::from_slice(&bytes).context("read what rank 0 sent"),
        }
    }

    /// Whether any rank says so.
    pub(crate) fn any(&self, mine: bool) -> Result<bool> {
        Ok(sum_numbers(self.peers(), &[f64::from(u8::from(mine))])?[0] > 0.0)
    }
}

#[cfg(feature = "mpi")]
fn mpi() -> Result<Ranks> {
    let mpi = collective::Mpi::join(DEADLINE)?;
    let words = format!("{} ranks over {}", mpi.world(), mpi.library());
    Ok(Ranks { peers: Box::new(mpi), words })
}

#[cfg(not(feature = "mpi"))]
fn mpi() -> Result<Ranks> {
    let _ = DEADLINE;
    bail!("collective: mpi is not in this program; build it with the feature `mpi` (it is in the default build)")
}

/// What the environment says about how this process was started.
#[derive(Debug, PartialEq, Eq)]
struct Launched {
    /// Processes started together.
    ranks: u64,
    /// Whether they can find each other through PMIx, which is how Open MPI joins them.
    pmix: bool,
}

impl Launched {
    fn of(env: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| env(name).and_then(|text| text.parse::<u64>().ok());
        // mpirun and srun each count in a variable of their own. A batch script sees SLURM_NTASKS too, but is one process:
        // only tasks of a step have SLURM_STEP_NUM_TASKS together with SLURM_PROCID.
        let ranks = number("OMPI_COMM_WORLD_SIZE")
            .or_else(|| number("PMI_SIZE"))
            .or_else(|| number("SLURM_PROCID").and(number("SLURM_STEP_NUM_TASKS")));
        let pmix = ["PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"].iter().any(|name| env(name).is_some());
        Self { ranks: ranks.unwrap_or(1), pmix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launched(variables: &[(&str, &str)]) -> Launched {
        Launched::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_launcher_is_recognised_by_its_variables() {
        assert_eq!(launched(&[]), Launched { ranks: 1, pmix: false });
        let mpirun = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1"), ("PMIX_RANK", "1")];
        assert_eq!(launched(&mpirun), Launched { ranks: 4, pmix: true });
        let srun = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "2"), ("PMIX_RANK", "0")];
        assert_eq!(launched(&srun), Launched { ranks: 2, pmix: true });
        assert_eq!(launched(&srun[..2]), Launched { ranks: 2, pmix: false });
        let batch_script = [("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")];
        assert_eq!(launched(&batch_script), Launched { ranks: 1, pmix: false });
    }
}
