//! Whole numbers that the host has worked out and the device needs: many lists, one copy.

use std::ops::Range;
use tch::{Device, Kind, Tensor};
use torch_shim::crossing;

/// Lists that are collected.
#[derive(Debug, Default)]
pub(crate) struct Parcel(Vec<i64>);

/// Where a list lies in its parcel.
pub(crate) type Slot = Range<usize>;

impl Parcel {
    /// Adds a list.
    pub(crate) fn add(&mut self, list: impl IntoIterator<Item = i64>) -> Slot {
        let start = self.0.len();
        self.0.extend(list);
        start..self.0.len()
    }

    /// Adds a list of bytes, eight to a number.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) -> Slot {
        let number = |eight: &[u8]| {
            let mut padded = [0; 8];
            padded[..eight.len()].copy_from_slice(eight);
            i64::from_ne_bytes(padded)
        };
        self.add(bytes.chunks(8).map(number))
    }

    /// Sends all lists to `device` in one copy, which the host does not wait for.
    pub(crate) fn send(self, device: Device) -> Sent {
        Sent(if self.0.is_empty() {
            Tensor::empty([0], (Kind::Int64, device))
        } else {
            crossing::send(&Tensor::from_slice(&self.0), device)
        })
    }
}

/// Lists on the device.
#[derive(Debug)]
pub(crate) struct Sent(Tensor);

impl Sent {
    /// A list `[n]` i64.
    pub(crate) fn list(&self, slot: &Slot) -> Tensor {
        self.0.narrow(0, slot.start as i64, slot.len() as i64)
    }

    /// The first `count` bytes of a list of bytes `[count]` u8.
    pub(crate) fn bytes(&self, slot: &Slot, count: i64) -> Tensor {
        if count == 0 {
            return Tensor::empty([0], (Kind::Uint8, self.0.device()));
        }
        self.list(slot).view_dtype(Kind::Uint8).narrow(0, 0, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_bytes_arrive_as_they_were_in_one_copy() {
        let mut parcel = Parcel::default();
        let (a, none, b) = (parcel.add([3, -4]), parcel.add([]), parcel.add_bytes(&[1, 0, 2, 0, 0, 0, 0, 255, 9]));
        let before = crossing::crossed();
        let sent = parcel.send(Device::Cpu);
        let seen = crossing::crossed().since(before);
        assert_eq!((seen.sent.count, seen.sent.bytes, seen.waits, seen.pageable.count), (1, 32, 0, 0));
        assert_eq!(Vec::<i64>::try_from(sent.list(&a)).unwrap(), [3, -4]);
        assert_eq!(sent.list(&none).size(), [0]);
        assert_eq!(Vec::<u8>::try_from(sent.bytes(&b, 9)).unwrap(), [1, 0, 2, 0, 0, 0, 0, 255, 9]);
    }
}
