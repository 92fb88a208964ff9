//! Energy of training: what the node's counters have counted, and an estimate, marked as such, on nodes without counters.
//!
//! A GPU is read by NVML, and each rank reads the one that it uses. Processors with their memory are read by RAPL, and the first rank of
//! a node reads those of the node: everything that ran there is counted, so a node that is shared is counted whole. Nothing else of a
//! node (fans, network, disks) has a counter, and nothing is added for it.

mod gpu;
mod processor;

use std::fmt::Debug;
use std::path::Path;
use std::time::Instant;

pub use gpu::Gpu;
pub use processor::{Package, cpu_seconds, packages};

/// What a GPU without a counter is taken to use. An assumption: the middle between the power limits of their makers' data sheets for
/// A100 SXM (400 W) and H100 SXM (700 W), at which training keeps them.
const GPU_WATTS: f64 = 550.0;
/// What a busy core is taken to use: what Green Algorithms takes for a processor that it does not know (doi:10.1002/advs.202100707).
pub const CORE_WATTS: f64 = 12.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// Emissions of a kilowatt hour where nothing else is said, in kg CO2e.
pub const WORLD_KG_PER_KWH: f64 = 0.48;
/// Where that number is from.
pub const WORLD_SOURCE: &str = "world average of 2023, Ember: Global Electricity Review 2024";

/// Energy in kilowatt hours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// By counters.
    pub measured_kwh: f64,
    /// Estimated.
    pub estimated_kwh: f64,
}

impl Used {
    /// Both together.
    pub fn kwh(&self) -> f64 {
        self.measured_kwh + self.estimated_kwh
    }

    /// With what was used besides.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            measured_kwh: self.measured_kwh + other.measured_kwh,
            estimated_kwh: self.estimated_kwh + other.estimated_kwh,
        }
    }
}

/// A counter of energy.
pub trait Counter: Debug + Send {
    /// Joules that it has counted since some moment in the past; never less than before. None where it cannot be read.
    fn joules(&mut self) -> Option<f64>;
}

/// A counter, and what it counted when it was begun.
#[derive(Debug)]
struct Begun {
    counter: Box<dyn Counter>,
    first: f64,
    last: f64,
}

impl Begun {
    /// None for a counter that cannot be read.
    fn of(mut counter: Box<dyn Counter>) -> Option<Self> {
        let first = counter.joules()?;
        Some(Self { counter, first, last: first })
    }

    fn joules(&mut self) -> f64 {
        self.last = self.counter.joules().unwrap_or(self.last).max(self.last);
        self.last - self.first
    }
}

/// What a rank computes on.
#[derive(Debug)]
pub struct Place<'a> {
    /// Whether it is the first rank of its node.
    pub first_of_node: bool,
    /// The GPU that it uses, if it uses one.
    pub gpu: Option<Gpu>,
    /// Where the kernel shows counters of processors: `/sys/class/powercap`.
    pub powercap: &'a Path,
}

/// Counts what a rank uses from now on.
#[derive(Debug)]
pub struct Meter {
    counters: Vec<Begun>,
    /// Watts of what has no counter and works all the time.
    watts: f64,
    /// Whether the processor's part is this process's time.
    by_cpu_time: bool,
    began: Instant,
    cpu_s: f64,
}

impl Meter {
    /// Begins to count what a rank at `place` uses.
    pub fn begin(place: Place<'_>) -> Self {
        let gpu = place.gpu.map(|gpu| gpu.counter().and_then(Begun::of));
        let watts = if matches!(gpu, Some(None)) { GPU_WATTS } else { 0.0 };
        let packages: Vec<Begun> =
            packages(place.powercap).into_iter().filter_map(|package| Begun::of(Box::new(package))).collect();
        // Every rank of a node finds the same: where there are counters, its first one has read them all.
        let by_cpu_time = packages.is_empty();
        let packages = if place.first_of_node { packages } else { Vec::new() };
        let counters: Vec<Begun> = gpu.flatten().into_iter().chain(packages).collect();
        if watts > 0.0 || by_cpu_time {
            tracing::debug!(watts, by_cpu_time, "energy is estimated where no counter can be read");
        }
        Self { counters, watts, by_cpu_time, began: Instant::now(), cpu_s: cpu_seconds() }
    }

    /// What was used since it was begun.
    pub fn used(&mut self) -> Used {
        let cpu_s = if self.by_cpu_time { (cpu_seconds() - self.cpu_s).max(0.0) } else { 0.0 };
        let estimated = self.watts * self.began.elapsed().as_secs_f64() + CORE_WATTS * cpu_s;
        let measured: f64 = self.counters.iter_mut().map(Begun::joules).sum();
        Used { measured_kwh: measured / JOULES_PER_KWH, estimated_kwh: estimated / JOULES_PER_KWH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Counted(std::vec::IntoIter<Option<f64>>);

    impl Counter for Counted {
        fn joules(&mut self) -> Option<f64> {
            self.0.next().flatten()
        }
    }

    fn counter(readings: &[Option<f64>]) -> Option<Begun> {
        let readings: Vec<_> = readings.into();
        Begun::of(Box::new(Counted(readings.into_iter())))
    }

    #[test]
    fn a_counter_counts_from_where_it_was_begun_and_keeps_what_it_cannot_read() {
        let mut counter = counter(&[Some(7.0), Some(10.0), None, Some(9.0), Some(12.0)]).expect("it can be read");
        assert_eq!([0; 4].map(|_| counter.joules()), [3.0, 3.0, 3.0, 5.0]);
        assert!(super::tests::counter(&[None]).is_none());
    }

    #[test]
    fn only_the_first_rank_of_a_node_counts_its_processors_and_where_there_are_none_each_estimates_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let none = |first| Meter::begin(Place { first_of_node: first, gpu: None, powercap: folder.path() });
        assert!(none(true).by_cpu_time && none(false).by_cpu_time);
        processor::tests::zone(folder.path(), "intel-rapl:0", "package-0", 0, 9_000_000_000_000);
        let begin = |first| Meter::begin(Place { first_of_node: first, gpu: None, powercap: folder.path() });
        let (mut first, mut second) = (begin(true), begin(false));
        // 3600 kJ, a kilowatt hour, in microjoules.
        processor::tests::zone(folder.path(), "intel-rapl:0", "package-0", 3_600_000_000_000, 9_000_000_000_000);
        assert_eq!(first.used(), Used { measured_kwh: 1.0, estimated_kwh: 0.0 });
        assert_eq!(second.used(), Used::default());
    }

    #[test]
    fn an_estimate_grows_with_the_time_of_the_processor() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut meter = Meter::begin(Place { first_of_node: true, gpu: None, powercap: folder.path() });
        let began = cpu_seconds();
        while cpu_seconds() < began + 0.05 {}
        let used = meter.used();
        assert!(used.measured_kwh == 0.0 && used.estimated_kwh >= 0.04 * CORE_WATTS / JOULES_PER_KWH, "{used:?}");
        assert_eq!(used.plus(used).kwh(), 2.0 * used.kwh());
    }
}
