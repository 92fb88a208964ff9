//! The counter of a GPU, by NVIDIA's management library, which comes with the driver and is opened when there is one.

use std::sync::Arc;

use nvml_wrapper::Nvml;

use crate::Counter;

/// Which GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpu {
    /// By its number among all of the node.
    Number(u32),
    /// By its name, such as `GPU-8932f937-…`.
    Name(String),
}

impl Gpu {
    /// The GPU that is CUDA device number `device`, given the value of `CUDA_VISIBLE_DEVICES`.
    pub fn of_cuda(device: usize, visible: Option<&str>) -> Option<Self> {
        let Some(visible) = visible else { return Some(Self::Number(u32::try_from(device).ok()?)) };
        let name = visible.split(',').nth(device)?.trim();
        match name.parse() {
            Ok(number) => Some(Self::Number(number)),
            Err(_) => (!name.is_empty()).then(|| Self::Name(name.to_owned())),
        }
    }

    /// Its counter; none without driver, and for a part of a GPU (MIG), which has none of its own.
    pub(crate) fn counter(self) -> Option<Box<dyn Counter>> {
        let nvml = Arc::new(Nvml::init().ok()?);
        Some(Box::new(OfGpu { nvml, gpu: self }))
    }
}

#[derive(Debug)]
struct OfGpu {
    nvml: Arc<Nvml>,
    gpu: Gpu,
}

impl Counter for OfGpu {
    fn joules(&mut self) -> Option<f64> {
        let device = match &self.gpu {
            Gpu::Number(number) => self.nvml.device_by_index(*number),
            Gpu::Name(name) => self.nvml.device_by_uuid(name.as_str()),
        };
        // Millijoules since the driver was loaded.
        let counted = device.and_then(|device| device.total_energy_consumption());
        Some(counted.ok()? as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_is_the_one_that_the_launcher_has_made_visible() {
        assert_eq!(Gpu::of_cuda(3, None), Some(Gpu::Number(3)));
        assert_eq!(Gpu::of_cuda(0, Some("5")), Some(Gpu::Number(5)));
        assert_eq!(Gpu::of_cuda(1, Some("2,GPU-8932")), Some(Gpu::Name("GPU-8932".to_owned())));
        assert_eq!((Gpu::of_cuda(1, Some("2")), Gpu::of_cuda(0, Some(""))), (None, None));
    }
}
