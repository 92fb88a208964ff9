//! LibTorch, CUDA and its driver, NCCL: found, and matching each other. Texts are read by pure functions.

use std::path::Path;

use collective::nccl::{Library, NcclError, OVERRIDE};
use run_spec::config::Device;

use super::finding::Finding;

/// The release that the tensor bindings are made for.
const TORCH: &str = "2.11";

/// LibTorch as it describes itself.
#[derive(Debug, PartialEq, Eq)]
struct Torch {
    version: String,
    /// CUDA release that it was built for.
    cuda: Option<String>,
}

/// Reads the `version.py` that lies beside LibTorch's `lib` folder.
fn torch_of(version_py: &str) -> Option<Torch> {
    let value = |name: &str| {
        let line = version_py.lines().find(|line| line.starts_with(name) && line.contains(" = "))?;
        let text = line.split(" = ").nth(1)?.trim();
        text.strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned)
    };
    Some(Torch { version: value("__version__")?, cuda: value("cuda") })
}

/// The driver's release in the text of `/proc/driver/nvidia/version`.
fn driver_of(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let (_, after) = line.split_once("Kernel Module")?;
    let release = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    after.split_whitespace().find(release).map(str::to_owned)
}

/// The oldest driver branch that runs a CUDA release, by major number (CUDA compatibility guide, minor-version compatibility).
fn oldest_driver(cuda: &str) -> Option<u32> {
    match cuda.split('.').next()? {
        "11" => Some(450),
        "12" => Some(525),
        "13" => Some(580),
        _ => None,
    }
}

/// A driver beside the CUDA release that LibTorch was built for.
fn driver_fits(driver: &str, cuda: Option<&str>) -> Finding {
    let branch = driver.split('.').next().and_then(|text| text.parse::<u32>().ok());
    match (branch, cuda, cuda.and_then(oldest_driver)) {
        (Some(branch), Some(cuda), Some(oldest)) if branch < oldest => Finding::fail(
            "driver",
            format!("NVIDIA driver {driver} is too old for CUDA {cuda}, which needs {oldest} or later"),
            "update the driver of this node, or take a LibTorch that was built for an older CUDA",
        ),
        (Some(_), Some(cuda), Some(oldest)) => {
            Finding::ok("driver", format!("NVIDIA driver {driver}; CUDA {cuda} needs {oldest} or later"))
        }
        _ => Finding::warn(
            "driver",
            format!("NVIDIA driver {driver}; whether it fits CUDA {} is not known", cuda.unwrap_or("(none)")),
            "compare them with NVIDIA's CUDA compatibility guide",
        ),
    }
}

fn libtorch_finding(torch: Option<&Torch>, folder: Option<&Path>) -> Finding {
    let at = folder.map_or_else(|| "an unknown place".to_owned(), |folder| folder.display().to_string());
    match torch {
        Some(torch) if torch.version.starts_with(&format!("{TORCH}.")) => {
            Finding::ok("libtorch", format!("{} in {at}", torch.version))
        }
        Some(torch) => Finding::fail(
            "libtorch",
            format!("{} in {at}, but this program is made for {TORCH}", torch.version),
            "run `make setup`, or point LD_LIBRARY_PATH at the lib folder of a torch of that release",
        ),
        None => Finding::warn(
            "libtorch",
            format!("loaded from {at}, where no version.py tells its release"),
            "run `make setup` to have the pinned release",
        ),
    }
}

/// Checks what is installed; `wanted` decides whether a missing GPU part is a failure.
pub(crate) fn check(wanted: Device) -> Vec<Finding> {
    let folder = torch_shim::device::library_folder();
    let version_py = folder.as_ref().and_then(|folder| std::fs::read_to_string(folder.join("../version.py")).ok());
    let torch = version_py.as_deref().and_then(torch_of);
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").ok().as_deref().and_then(driver_of);
    // Where there is a driver, there are GPUs that somebody means to use.
    let needed = wanted == Device::Cuda || (wanted == Device::Auto && driver.is_some());
    let mut findings = vec![libtorch_finding(torch.as_ref(), folder.as_deref())];
    let absent = |check: &str, why: String, remedy: &str| match needed {
        true => Finding::fail(check, why, remedy),
        false => Finding::not_checked(check, why),
    };
    let built_for = torch.as_ref().and_then(|torch| torch.cuda.as_deref());
    let setup = "run `make setup CUDA=1`, or point LD_LIBRARY_PATH at the lib folder of an installed torch with CUDA";
    findings.push(match torch_shim::device::open_cuda() {
        Ok(true) => {
            Finding::ok("cuda", format!("libtorch_cuda.so is loaded, built for CUDA {}", built_for.unwrap_or("?")))
        }
        Ok(false) => absent("cuda", "libtorch_cuda.so is not beside LibTorch: this is its CPU part".to_owned(), setup),
        Err(error) => absent("cuda", format!("{error}"), setup),
    });
    findings.push(match driver {
        Some(driver) => driver_fits(&driver, built_for),
        None => absent(
            "driver",
            "no NVIDIA driver (/proc/driver/nvidia/version is not there)".to_owned(),
            "run on a GPU node, and in a container with its GPUs passed in (`--gpus all`, `--nv`)",
        ),
    });
    findings.push(nccl(absent));
    findings
}

fn nccl(absent: impl Fn(&str, String, &str) -> Finding) -> Finding {
    let remedy = "install NCCL with the CUDA build (`make setup CUDA=1`), or name its file in REDDINO_NCCL";
    let chosen = crate::environment::variable(OVERRIDE);
    match Library::open(chosen.as_deref().map(Path::new))
        .and_then(|library| Ok((library.version()?, library.path().display().to_string())))
    {
        Ok((version, path)) => Finding::ok("nccl", format!("{version} from {path}")),
        Err(NcclError::Missing { .. }) => absent("nccl", "libnccl.so.2 is not found".to_owned(), remedy),
        Err(error) => Finding::fail("nccl", error.to_string(), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn torch_tells_its_release_and_cuda() {
        let text = "__all__ = ['cuda']\n__version__ = '2.11.0+cu130'\ndebug = False\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n";
        let torch = torch_of(text).unwrap();
        assert_eq!(torch, Torch { version: "2.11.0+cu130".into(), cuda: Some("13.0".into()) });
        assert_eq!(libtorch_finding(Some(&torch), None).outcome, Outcome::Ok);
        let cpu = torch_of("__version__ = '2.1.0'\ncuda: Optional[str] = None\n").unwrap();
        assert_eq!(cpu.cuda, None);
        assert_eq!(libtorch_finding(Some(&cpu), None).outcome, Outcome::Fail, "2.1 is not 2.11");
        assert_eq!(libtorch_finding(torch_of("nonsense").as_ref(), None).outcome, Outcome::Warn);
    }

    #[test]
    fn both_kernel_modules_tell_the_driver() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc 11.4.0\n";
        assert_eq!(driver_of(closed).as_deref(), Some("535.129.03"));
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\n";
        assert_eq!(driver_of(open).as_deref(), Some("580.65.06"));
        assert_eq!(driver_of("GCC version:  gcc 11.4.0\n"), None);
    }

    #[test]
    fn a_driver_older_than_cuda_needs_fails() {
        assert_eq!(driver_fits("580.65.06", Some("13.0")).outcome, Outcome::Ok);
        let old = driver_fits("535.129.03", Some("13.0"));
        assert_eq!(old.outcome, Outcome::Fail);
        assert!(old.detail.contains("580 or later"), "{}", old.detail);
        assert_eq!(driver_fits("535.129.03", Some("12.4")).outcome, Outcome::Ok);
        assert_eq!(driver_fits("700.1", Some("19.0")).outcome, Outcome::Warn);
    }
}
