//! Buffers used again: each thread keeps those it has finished with, so that a view allocates nothing after the first few.
//!
//! [`Buf`] is a vector that goes back to its thread's store when dropped. Capacities are powers of two, so that crops of
//! all sizes soon find one that fits; a buffer above [`LARGEST`] elements is not kept, nor are more than [`KEPT`] of a type.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use serde::{Deserialize, Deserializer};

/// Elements above which a buffer is given back to the system.
const LARGEST: usize = 1 << 23;
/// Buffers of one type that a thread keeps.
const KEPT: usize = 24;

/// The buffers of one element type that a thread keeps.
pub(crate) type Store<T> = RefCell<Vec<Vec<T>>>;

/// An element type whose buffers are kept.
pub(crate) trait Pooled: Copy + Default + 'static {
    /// The thread's buffers of this type.
    fn store() -> &'static LocalKey<Store<Self>>;
}

/// Keeps buffers of these element types; a type of its own stands beside its transform or drawing.
macro_rules! pooled {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::pool::Pooled for $type {
            fn store() -> &'static std::thread::LocalKey<$crate::pool::Store<Self>> {
                thread_local! {
                    static STORE: $crate::pool::Store<$type> = $crate::pool::empty_store();
                }
                &STORE
            }
        }
    )+};
}
pub(crate) use pooled;

/// A store that has room for all that it may keep.
pub(crate) fn empty_store<T>() -> Store<T> {
    RefCell::new(Vec::with_capacity(KEPT))
}

pooled!(
    u8,
    u16,
    u32,
    i32,
    f32,
    f64,
    bool,
    usize,
    [u8; 4],
    [i32; 4],
    [f64; 3],
    (usize, [f32; 4]),
    (usize, f32),
    (usize, usize, f32),
    (u32, u32),
    (i64, i64),
);

/// An empty vector with room for `capacity` elements: a kept one, the smallest that fits, or a new one.
pub(crate) fn take<T: Pooled>(capacity: usize) -> Vec<T> {
    let mut buffer = fetch(capacity);
    buffer.clear();
    buffer
}

/// A vector of `len` elements of any value, to be written to.
pub(crate) fn take_any<T: Pooled>(len: usize) -> Vec<T> {
    let mut buffer = fetch(len);
    buffer.resize(len, T::default());
    buffer
}

/// A vector with room for `capacity` elements, with what it last held.
fn fetch<T: Pooled>(capacity: usize) -> Vec<T> {
    let kept = T::store().try_with(|store| {
        let mut store = store.borrow_mut();
        let fits = (0..store.len()).filter(|&i| store[i].capacity() >= capacity).min_by_key(|&i| store[i].capacity());
        fits.map(|i| store.swap_remove(i))
    });
    // No store is left while a thread ends.
    match kept {
        Ok(Some(buffer)) => buffer,
        _ => Vec::with_capacity(capacity.next_power_of_two()),
    }
}

/// Keeps `buffer` for later, in the place of the smallest where the store is full.
pub(crate) fn give<T: Pooled>(buffer: Vec<T>) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    // A thread that ends takes its buffers with it.
    let _ = T::store().try_with(|store| {
        let mut store = store.borrow_mut();
        if store.len() < KEPT {
            store.push(buffer);
        } else if let Some(smallest) = store.iter_mut().min_by_key(|kept| kept.capacity())
            && smallest.capacity() < buffer.capacity()
        {
            *smallest = buffer;
        }
    });
}

/// A vector from the thread's store, which goes back there.
#[derive(Debug)]
pub(crate) struct Buf<T: Pooled>(Vec<T>);

impl<T: Pooled> Buf<T> {
    /// Empty, with room for `capacity` elements.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(take(capacity))
    }

    /// `len` elements of `value`.
    pub(crate) fn filled(len: usize, value: T) -> Self {
        let mut buffer = take(len);
        buffer.resize(len, value);
        Self(buffer)
    }

    /// `len` elements of any value, to be written to.
    pub(crate) fn any(len: usize) -> Self {
        Self(take_any(len))
    }

    /// `len` elements of the type's default.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self::filled(len, T::default())
    }

    /// The elements of an iterator whose length is about `len`.
    pub(crate) fn collect(len: usize, items: impl Iterator<Item = T>) -> Self {
        let mut buffer = take(len);
        buffer.extend(items);
        Self(buffer)
    }
}

impl<T: Pooled> From<Vec<T>> for Buf<T> {
    fn from(vector: Vec<T>) -> Self {
        Self(vector)
    }
}

impl<'de, T: Pooled + Deserialize<'de>> Deserialize<'de> for Buf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl<T: Pooled> Clone for Buf<T> {
    fn clone(&self) -> Self {
        Self::collect(self.len(), self.iter().copied())
    }
}

impl<T: Pooled> Drop for Buf<T> {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

impl<T: Pooled> Deref for Buf<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Pooled> DerefMut for Buf<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_by_the_next_that_fits() {
        let first = Buf::<f32>::zeroed(1000);
        let place = first.as_ptr();
        drop(first);
        let larger = Buf::<f32>::zeroed(5000);
        assert_ne!(larger.as_ptr(), place);
        assert_eq!(Buf::<f32>::filled(900, 1.0).as_ptr(), place);
    }
}
