//! Pixels on their way to the device. A GPU gets the levels, a byte each, and makes the floats of them that the networks see; a CPU gets
//! the floats, which the threads that load write in the same pass.
//!
//! Both give the same floats to the last bit: the device looks each level up in a table that the recipe made.

use augment::Recipe;
use dino::{CropBatch, DinoError};
use run_spec::config::TrainConfig;
use tch::{Device, Kind, Tensor};
use torch_shim::crossing::{SideStream, fetch_number, send};
use torch_shim::host::HostBuffer;

use crate::error::Result;

/// The way from the loader to the networks.
#[derive(Debug)]
pub(crate) struct Pixels {
    side: SideStream,
    /// What a level becomes, `[3 · 256]` f32, and the first of each channel, `[3, 1, 1]` i32, on the device.
    table: Tensor,
    first: Tensor,
}

impl Pixels {
    /// For views as `recipe` makes them.
    ///
    /// # Errors
    /// A device that is neither CPU nor CUDA, and what CUDA refuses.
    pub(crate) fn of(recipe: &Recipe, device: Device) -> Result<Self> {
        let side = SideStream::of(device).map_err(DinoError::from)?;
        let table = send(&Tensor::from_slice(recipe.normalised_levels().as_flattened()), device);
        let first = send(&Tensor::from_slice(&[0i32, 256, 512]).view([3, 1, 1]), device);
        Ok(Self { side, table, first })
    }

    /// `crops` with their images on the device, sent beside what it computes.
    ///
    /// # Errors
    /// What CUDA refuses, or memory of the device that is short.
    pub(crate) fn send(&self, crops: &CropBatch) -> Result<CropBatch> {
        Ok(crops.try_with_images(|images| self.side.send(images).map_err(DinoError::from))?)
    }

    /// `batch` as networks see it: levels become floats, floats stay.
    pub(crate) fn floats(&self, batch: &CropBatch) -> CropBatch {
        batch.with_images(|images| self.normalised(images))
    }

    /// Images `[V, B, 3, H, W]` of u8 as f32.
    fn normalised(&self, images: &Tensor) -> Tensor {
        if images.kind() != Kind::Uint8 {
            return images.shallow_clone();
        }
        let out = Tensor::empty(images.size(), (Kind::Float, images.device()));
        // One view after the other, since each number of the table takes four bytes beside the float that it becomes.
        for view in 0..images.size()[0] {
            let numbers = images.get(view).to_kind(Kind::Int).g_add_(&self.first); // [B, 3, H, W]
            let floats = self.table.index_select(0, &numbers.view([-1]));
            out.get(view).copy_(&floats.view_as(&numbers));
        }
        out
    }
}

/// How many of the floats that `device` makes of levels, in `rounds` batches that are sent while it computes, are not those of the recipe
/// to the last bit: 0 where all is well. For a self-test.
///
/// # Errors
/// What the device refuses.
pub fn wrong_pixels(device: Device, rounds: u64) -> Result<u64> {
    let recipe = Recipe::new(&TrainConfig::default())?;
    let (pixels, on_host) = (Pixels::of(&recipe, device)?, Pixels::of(&recipe, Device::Cpu)?);
    let mut work = Tensor::ones([512, 512], (Kind::Float, device)) / 512.0;
    let mut wrong = Tensor::zeros([], (Kind::Int64, device));
    for round in 0..rounds {
        let mut levels = HostBuffer::<u8>::zeros(&[2, 8, 3, 64, 64], device).map_err(DinoError::from)?;
        let mut stream = run_spec::seed::stream(round, "pixels/self-test", &[]);
        levels.values().iter_mut().for_each(|level| *level = stream.below(256) as u8);
        let masks = Tensor::zeros([2, 8, 16], (Kind::Bool, Device::Cpu));
        let crops = CropBatch { global: levels.into_tensor(), local: None, masks, koleo_exclusion: None };
        for _ in 0..8 {
            work = work.matmul(&work);
        }
        // As far as the host knows, the memory of the batch before is free by now; a device that is behind still reads it.
        let made = pixels.floats(&pixels.send(&crops)?).global;
        let expected = send(&on_host.floats(&crops).global, device);
        wrong += made.not_equal_tensor(&expected).sum(Kind::Int64);
    }
    Ok(fetch_number(&wrong) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_finds_nothing_on_a_cpu() {
        assert_eq!(wrong_pixels(Device::Cpu, 2).unwrap(), 0);
    }

    #[test]
    fn a_device_makes_the_floats_that_a_loader_makes() {
        let recipe = Recipe::new(&TrainConfig::default()).unwrap();
        let pixels = Pixels::of(&recipe, Device::Cpu).unwrap();
        let levels: Vec<u8> = (0..2 * 3 * 256).map(|i| (i * 7 + i / 256) as u8).collect();
        let crops = CropBatch {
            global: Tensor::from_slice(&levels).view([2, 1, 3, 16, 16]),
            local: None,
            masks: Tensor::zeros([2, 1, 4], (Kind::Bool, Device::Cpu)),
            koleo_exclusion: None,
        };
        let made = pixels.floats(&pixels.send(&crops).unwrap()).global;
        let table = recipe.normalised_levels();
        let expected: Vec<f32> =
            levels.iter().enumerate().map(|(i, &level)| table[i / 256 % 3][usize::from(level)]).collect();
        assert_eq!(made, Tensor::from_slice(&expected).view([2, 1, 3, 16, 16]));
        // Floats are what they are.
        let floats = CropBatch { global: made.shallow_clone(), ..crops };
        assert_eq!(pixels.floats(&floats).global.data_ptr(), made.data_ptr());
    }
}
