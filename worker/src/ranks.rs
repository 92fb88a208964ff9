//! The ranks of a run: which backend joins them, and how they agree on what is not a tensor.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use collective::nccl::{CudaLanes, Joining, Library, Nccl};
use collective::rendezvous::{Address, Meeting, RendezvousError};
use collective::{Collective, Launch, Line, Solo, broadcast_bytes, sum_numbers};
use run_spec::config::Collective as Wanted;
use serde::{Serialize, de::DeserializeOwned};

/// The ranks, seen from one of them.
#[derive(Debug)]
pub(crate) struct Ranks {
    peers: Box<dyn Collective>,
    /// What joins them, in words.
    pub(crate) words: String,
}

impl Ranks {
    /// Joins the ranks that a launcher started, as a configuration wants it for tensors on `device`. A call that waits
    /// longer than `deadline_s` seconds for its peers fails, and the world with it.
    pub(crate) fn join(wanted: Wanted, device: tch::Device, deadline_s: f64) -> Result<Self> {
        let launch = Launch::here();
        let deadline = Duration::from_secs_f64(deadline_s);
        match decide(wanted, device, &launch)? {
            Way::Solo => Ok(Self::solo()),
            Way::Mpi => mpi(deadline),
            Way::Nccl(gpu) => nccl(gpu, &launch, deadline),
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
    match (wanted, device) {
        (Wanted::Solo, _) => Ok(Way::Solo),
        (Wanted::Auto, _) if launch.world <= 1 => Ok(Way::Solo),
        (Wanted::Nccl | Wanted::Auto, tch::Device::Cuda(gpu)) => Ok(Way::Nccl(gpu)),
        (Wanted::Nccl, _) => bail!(
            "collective: nccl needs tensors on a CUDA device; set device: cuda on a GPU node, or collective: auto or mpi on a CPU"
        ),
        (Wanted::Mpi, tch::Device::Cuda(_)) => bail!(
            "collective: mpi reaches host memory only, and the tensors are on a CUDA device; set collective: auto or nccl, or device: cpu"
        ),
        (Wanted::Auto, _) if !launch.pmix => bail!(
            "{} tasks were started, but not in a way that MPI can join them; start them with `srun --mpi=pmix` or `mpirun`, \
             or set collective: solo to train the same run {} times over",
            launch.world,
            launch.world
        ),
        (Wanted::Mpi | Wanted::Auto, _) => Ok(Way::Mpi),
    }
}

/// The ranks over NCCL. They find each other over MPI where that started them, else over TCP.
fn nccl(gpu: usize, launch: &Launch, deadline: Duration) -> Result<Ranks> {
    let library = Library::open()?;
    let line: Box<dyn Line> = match mpi_line(launch, deadline)? {
        Some(line) => line,
        None => {
            let address = Address::of(|name| std::env::var(name).ok(), launch.world);
            Box::new(Meeting::join(&alone_or(address, launch)?, launch, deadline)?)
        }
    };
    let nccl = Nccl::join(Joining { library, lanes: Arc::new(CudaLanes::of(gpu)), line, deadline })?;
    let words = format!("{} ranks over NCCL {}", nccl.world(), nccl.version());
    Ok(Ranks { peers: Box::new(nccl), words })
}

/// An address is needed by more than one.
fn alone_or(address: Result<Address, RendezvousError>, launch: &Launch) -> Result<Address, RendezvousError> {
    address.or_else(|error| {
        let nowhere = Address { host: String::new(), port: 0, run: 0 };
        (launch.world == 1).then_some(nowhere).ok_or(error)
    })
}

#[cfg(feature = "mpi")]
fn mpi(deadline: Duration) -> Result<Ranks> {
    let mpi = collective::Mpi::join(deadline)?;
    let words = format!("{} ranks over {}", Collective::world(&mpi), mpi.library());
    Ok(Ranks { peers: Box::new(mpi), words })
}

#[cfg(not(feature = "mpi"))]
fn mpi(_: Duration) -> Result<Ranks> {
    bail!("collective: mpi is not in this program; build it with the feature `mpi` (it is in the default build)")
}

#[cfg(feature = "mpi")]
fn mpi_line(launch: &Launch, deadline: Duration) -> Result<Option<Box<dyn Line>>> {
    let join = || -> Result<Box<dyn Line>> { Ok(Box::new(collective::Mpi::join(deadline)?)) };
    launch.pmix.then(join).transpose()
}

#[cfg(not(feature = "mpi"))]
fn mpi_line(_: &Launch, _: Duration) -> Result<Option<Box<dyn Line>>> {
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
    }
}
