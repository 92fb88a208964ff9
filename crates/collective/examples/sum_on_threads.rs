//! Four ranks in one process agree on a sum.
#![allow(clippy::print_stdout, reason = "an example shows its result on the terminal")]

use collective::{Collective, CollectiveError, Threads, sum_};
use tch::Tensor;

fn main() {
    std::thread::scope(|scope| {
        for peers in Threads::world_of(4) {
            scope.spawn(move || -> Result<(), CollectiveError> {
                let mut numbers = Tensor::from_slice(&[peers.rank() as f32, 1.0]);
                sum_(&peers, &mut numbers)?;
                // Every rank prints [6, 4]: 0 + 1 + 2 + 3, and 1 four times.
                println!("rank {}: {:?}", peers.rank(), Vec::<f32>::try_from(numbers));
                Ok(())
            });
        }
    });
}
