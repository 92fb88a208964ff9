//! Where tensors live and how many threads they get.

use anyhow::{Result, bail};
use run_spec::config::Device as Wanted;
use training::OpenDevice;

use crate::environment::Environment;

/// Opens the device a configuration wants, with `threads` for tensors (0: all cores). Of several GPUs, a rank gets the one
/// of its place on the node.
pub(crate) fn open(wanted: Wanted, threads: u64, environment: &Environment) -> Result<OpenDevice> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads as usize };
    tch::set_num_threads(threads as i32);
    let gpus = match wanted {
        Wanted::Cpu => 0,
        // A missing or unfit library is the ordinary case of a CPU machine.
        Wanted::Auto if !torch_shim::device::open_cuda().unwrap_or(false) => 0,
        Wanted::Cuda if !torch_shim::device::open_cuda()? => bail!(
            "device: cuda is asked for, but libtorch_cuda.so is not found; take the CUDA build (`make setup CUDA=1`, or LD_LIBRARY_PATH to the lib \
             folder of an installed torch), or set device: cpu"
        ),
        Wanted::Auto | Wanted::Cuda => usize::try_from(tch::Cuda::device_count()).unwrap_or(0),
    };
    if gpus > 0 {
        let index = gpu_of(environment.launch.local_rank, gpus, environment.gpus_are_chosen)?;
        let device = tch::Device::Cuda(index);
        // Else a library that asks for the current device would open a context on the first GPU too.
        torch_shim::device::make_current(device)?;
        return Ok(OpenDevice { device, description: format!("CUDA device {index}") });
    }
    if wanted == Wanted::Cuda {
        let why = torch_shim::device::make_current(tch::Device::Cuda(0)).err();
        bail!(
            "device: cuda is asked for, but LibTorch finds no GPU ({}); run on a GPU node (`nvidia-smi` lists its GPUs), or set device: cpu",
            why.map_or_else(|| "it names no reason".to_owned(), |error| error.to_string())
        );
    }
    Ok(OpenDevice { device: tch::Device::Cpu, description: format!("CPU, {}", terminal::counted(threads, "thread")) })
}

/// The GPU of the rank that is `local_rank` on its node, of `gpus` that it sees; `chosen` if a launcher chose what it sees.
fn gpu_of(local_rank: usize, gpus: usize, chosen: bool) -> Result<usize> {
    // One task, one GPU: Slurm shows each task its own as number 0.
    if gpus == 1 && chosen {
        return Ok(0);
    }
    if local_rank < gpus {
        return Ok(local_rank);
    }
    bail!(
        "this is rank {local_rank} on its node, which shows it {gpus} GPUs; start one task per GPU (`srun --ntasks-per-node={gpus}` or `--gpus-per-task=1`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_takes_the_gpu_of_its_place_on_the_node() {
        assert_eq!((gpu_of(0, 8, false).unwrap(), gpu_of(7, 8, true).unwrap()), (0, 7));
        assert_eq!(gpu_of(5, 1, true).unwrap(), 0, "a launcher showed it its own");
    }

    #[test]
    fn more_ranks_than_gpus_are_refused_with_a_remedy() {
        for (local_rank, gpus, chosen) in [(1, 1, false), (8, 8, true)] {
            let error = gpu_of(local_rank, gpus, chosen).unwrap_err().to_string();
            assert!(error.contains("--gpus-per-task=1"), "{error}");
        }
    }
}
