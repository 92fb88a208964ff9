//! What all ranks of a run have used so far, over its attempts.

use std::path::Path;

use collective::{Collective, CollectiveError, sum_numbers};
use energy::{Meter, Place, Used, WORLD_KG_PER_KWH, WORLD_SOURCE};
use run_folder::EnergyRecord;
use run_spec::config::Log;

use crate::NodePlace;

/// Where the kernel shows counters of processors.
const POWERCAP: &str = "/sys/class/powercap";

/// Counts what this rank uses, and sums it over all.
#[derive(Debug)]
pub(crate) struct Consumption {
    meter: Meter,
    /// Of earlier attempts.
    before: Used,
    /// Of this attempt, over all ranks, when it was last summed.
    now: Used,
    kg_per_kwh: f64,
    grid: String,
}

impl Consumption {
    /// Counts from now on.
    pub(crate) fn begin(place: &NodePlace, log: &Log) -> Self {
        let NodePlace { first_of_node, gpu } = place.clone();
        let meter = Meter::begin(Place { first_of_node, gpu, powercap: Path::new(POWERCAP) });
        let (kg_per_kwh, grid) = match log.grid_kg_per_kwh {
            Some(kg) => (kg, "log.grid_kg_per_kwh"),
            None => (WORLD_KG_PER_KWH, WORLD_SOURCE),
        };
        Self { meter, before: Used::default(), now: Used::default(), kg_per_kwh, grid: grid.to_owned() }
    }

    /// Goes on after what earlier attempts used.
    pub(crate) fn go_on(&mut self, energy: Option<&EnergyRecord>) {
        let measured = |energy: &EnergyRecord| energy.kwh - energy.estimated_kwh;
        self.before = energy.map_or_else(Used::default, |energy| Used {
            measured_kwh: measured(energy),
            estimated_kwh: energy.estimated_kwh,
        });
    }

    /// Sums over all ranks, each of which calls it.
    pub(crate) fn sum(&mut self, peers: &dyn Collective) -> Result<(), CollectiveError> {
        let own = self.meter.used();
        let sums = sum_numbers(peers, &[own.measured_kwh, own.estimated_kwh])?;
        self.now = Used { measured_kwh: sums[0], estimated_kwh: sums[1] };
        Ok(())
    }

    /// What was used when it was last summed.
    pub(crate) fn record(&self) -> EnergyRecord {
        let used = self.before.plus(self.now);
        EnergyRecord {
            kwh: used.kwh(),
            estimated_kwh: used.estimated_kwh,
            kg_co2e: used.kwh() * self.kg_per_kwh,
            kg_per_kwh: self.kg_per_kwh,
            grid: self.grid.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use collective::Solo;

    #[test]
    fn what_earlier_attempts_used_is_part_of_it_and_the_grid_is_named() {
        let place = NodePlace { first_of_node: true, gpu: None };
        let mut consumption = Consumption::begin(&place, &Log::default());
        let before = EnergyRecord { kwh: 3.0, estimated_kwh: 1.0, ..consumption.record() };
        consumption.go_on(Some(&before));
        consumption.sum(&Solo::new()).unwrap();
        let record = consumption.record();
        assert!((3.0..3.1).contains(&record.kwh) && record.estimated_kwh >= 1.0, "{record:?}");
        assert_eq!((record.kg_co2e, record.grid.as_str()), (record.kwh * 0.48, WORLD_SOURCE));
        let here = Log { grid_kg_per_kwh: Some(0.05), ..Log::default() };
        assert_eq!(Consumption::begin(&place, &here).record().kg_per_kwh, 0.05);
    }
}
