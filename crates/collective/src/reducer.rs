//! Gradients summed over ranks while backward still computes the rest of them.
//!
//! Parameters are laid into buckets in the order in which backward finishes them. When a bucket's last gradient is there,
//! its all-reduce starts; buckets start in their fixed order on every rank, whatever order gradients came in. So the cost
//! of communication hides behind computation, and the sums do not depend on timing.

use crate::{Buffer, Collective, CollectiveError, Op, Pending};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tch::{Kind, Tensor};
use torch_shim::{ShimError, autograd};

/// Largest bucket: long enough to fill a link.
const LARGEST_BUCKET: usize = 25 << 20;
/// Smallest bucket worth a call of its own.
const SMALLEST_BUCKET: usize = 1 << 20;
/// Buckets that gradients are cut into, within those limits: all but the last can hide behind backward.
const BUCKETS: usize = 8;

/// What the communication of one backward cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transfer {
    /// Bytes that were summed over ranks.
    pub bytes: u64,
    /// Seconds in which an all-reduce was under way.
    pub seconds: f64,
    /// Seconds for which the caller had to wait after backward had ended.
    pub exposed_s: f64,
}

impl Transfer {
    /// Share of the communication that hid behind backward, from 0 to 1.
    pub fn hidden(&self) -> f64 {
        if self.seconds > 0.0 { (1.0 - self.exposed_s / self.seconds).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Sums the gradients of a fixed list of leaves.
pub struct Reducer {
    /// The leaves, in the caller's order.
    leaves: Vec<Tensor>,
    /// Indices into `leaves`, first finished by backward first.
    order: Vec<usize>,
    /// The dtype in which gradients travel, where it is not their own.
    sent_as: Option<Kind>,
    /// Made when a world of more than one asks for it.
    shared: Option<Arc<Mutex<Shared>>>,
}

impl fmt::Debug for Reducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reducer").field("leaves", &self.leaves.len()).finish_non_exhaustive()
    }
}

/// A collective that outlives the backward in which hooks use it: set and taken back by [`Reducer::sum_during`].
struct Peers(*const (dyn Collective + 'static));

// SAFETY: a `dyn Collective` is Sync, so a reference to it may be used in the thread in which a hook runs.
unsafe impl Send for Peers {}

struct Bucket {
    /// The gradients, one after the other.
    flat: Tensor,
    /// What travels in their place, of the same length.
    lowered: Option<Tensor>,
    /// Where each lies in `flat`: the leaf's index, and a view of its shape.
    slots: Vec<(usize, Tensor)>,
    arrived: Vec<bool>,
    pending: Option<Pending>,
    /// Bytes that it sends.
    bytes: u64,
}

struct Shared {
    leaves: Vec<Tensor>,
    /// Leaf to bucket and slot.
    places: Vec<(usize, usize)>,
    buckets: Vec<Bucket>,
    /// The first bucket that has not started.
    next: usize,
    peers: Option<Peers>,
    failed: Option<CollectiveError>,
}

impl Reducer {
    /// For `leaves` of any shapes, which backward finishes in the order of the indices `order`. Every rank gives the
    /// same lists.
    ///
    /// # Panics
    /// `order` is not a permutation of the leaves' indices.
    pub fn new(leaves: Vec<Tensor>, order: Vec<usize>) -> Self {
        let mut seen = order.clone();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..leaves.len()), "each leaf stands once in the order");
        Self { leaves, order, sent_as: None, shared: None }
    }

    /// The same, whose gradients travel as `kind` where there is one, which has fewer bits than their own dtype: each rank rounds its
    /// gradients to it, the backend sums them, and the sums go back to their own dtype. A world of one sends nothing and rounds nothing.
    #[must_use]
    pub fn sent_as(mut self, kind: Option<Kind>) -> Self {
        self.sent_as = kind;
        self
    }

    /// Runs `backward`, and gives the gradients summed over all ranks, of the shapes and in the order of the leaves;
    /// zero where backward did not reach. They are views of buffers that the next call overwrites. The leaves' own
    /// gradients are gone afterwards.
    ///
    /// # Errors
    /// Backward fails, or a peer is lost. The buffers are then given up, since a transfer may still reach them.
    pub fn sum_during<E: From<CollectiveError> + From<ShimError>>(
        &mut self,
        peers: &dyn Collective,
        backward: impl FnOnce() -> Result<(), E>,
    ) -> Result<(Vec<Tensor>, Transfer), E> {
        if peers.world() == 1 {
            // Not a matter of mathematics: a bucket is a copy, and a world of one need not pay for it.
            backward()?;
            peers.barrier()?;
            return Ok((self.own_gradients()?, Transfer::default()));
        }
        let shared = Arc::clone(self.shared()?);
        let outcome = {
            let _running = Running::enter(&shared, peers);
            backward().and_then(|()| Ok(lock(&shared).finish()?))
        };
        if outcome.is_err() {
            self.give_up();
        }
        let transfer = outcome?;
        Ok((lock(&shared).sums(), transfer))
    }

    fn own_gradients(&self) -> Result<Vec<Tensor>, ShimError> {
        let one = |t: &Tensor| -> Result<Tensor, ShimError> {
            Ok(autograd::grad(t)?.map_or_else(|| t.detach().zeros_like(), |g| g.contiguous()))
        };
        self.leaves.iter().map(one).collect()
    }

    fn shared(&mut self) -> Result<&Arc<Mutex<Shared>>, ShimError> {
        if self.shared.is_none() {
            let shared = Arc::new(Mutex::new(Shared::new(&self.leaves, &self.order, self.sent_as)));
            for (leaf, t) in self.leaves.iter().enumerate() {
                let shared = Arc::clone(&shared);
                autograd::on_grad_accumulated(t, move || lock(&shared).arrived(leaf))?;
            }
            self.shared = Some(shared);
        }
        Ok(self.shared.get_or_insert_with(|| unreachable!("it was made above")))
    }

    /// Lets go of the buffers without freeing them.
    fn give_up(&mut self) {
        if let Some(shared) = self.shared.take() {
            self.clear_hooks();
            std::mem::forget(std::mem::take(&mut lock(&shared).buckets));
        }
    }

    fn clear_hooks(&self) {
        for t in &self.leaves {
            // A leaf that has lost its hook some other way needs no clearing.
            let _ = autograd::clear_hook(t);
        }
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // The hooks hold the buckets, and the leaves hold the hooks.
        if self.shared.is_some() {
            self.clear_hooks();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While it lives, gradients that arrive are sent to the peers.
struct Running<'a>(&'a Mutex<Shared>);

impl<'a> Running<'a> {
    fn enter(shared: &'a Mutex<Shared>, peers: &dyn Collective) -> Self {
        let peers: *const (dyn Collective + '_) = peers;
        // SAFETY: only the lifetime changes. The pointer is taken back when this guard drops, before `peers` can end.
        let peers: *const (dyn Collective + 'static) = unsafe { std::mem::transmute(peers) };
        lock(shared).begin(Peers(peers));
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(self.0).peers = None;
    }
}

impl Bucket {
    /// The memory that travels.
    fn sent(&mut self) -> &mut Tensor {
        self.lowered.as_mut().unwrap_or(&mut self.flat)
    }
}

impl Shared {
    fn new(leaves: &[Tensor], order: &[usize], sent_as: Option<Kind>) -> Self {
        let bytes = |leaf: usize| leaves[leaf].numel() * leaves[leaf].kind().elt_size_in_bytes();
        let total: usize = order.iter().map(|leaf| bytes(*leaf)).sum();
        let size = (total / BUCKETS).clamp(SMALLEST_BUCKET, LARGEST_BUCKET);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut room = 0;
        for &leaf in order {
            let same = groups.last().is_some_and(|group| leaves[group[0]].kind() == leaves[leaf].kind());
            match groups.last_mut() {
                Some(group) if same && bytes(leaf) <= room => group.push(leaf),
                _ => {
                    groups.push(vec![leaf]);
                    room = size.max(bytes(leaf));
                }
            }
            room -= bytes(leaf);
        }
        let mut places = vec![(0, 0); leaves.len()];
        let mut buckets = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let sizes: Vec<i64> = group.iter().map(|leaf| leaves[*leaf].numel() as i64).collect();
            let first = &leaves[group[0]];
            let flat = Tensor::zeros([sizes.iter().sum::<i64>()], (first.kind(), first.device()));
            let views = flat.split_with_sizes(sizes, 0).into_iter();
            let slots = views.zip(group).map(|(view, leaf)| (*leaf, view.view_(leaves[*leaf].size())));
            let slots: Vec<(usize, Tensor)> = slots.collect();
            for (slot, (leaf, _)) in slots.iter().enumerate() {
                places[*leaf] = (number, slot);
            }
            let lowered = sent_as.map(|kind| flat.zeros_like().to_kind(kind));
            buckets.push(Bucket { flat, lowered, arrived: vec![false; slots.len()], slots, pending: None, bytes: 0 });
        }
        let leaves = leaves.iter().map(Tensor::shallow_clone).collect();
        Self { leaves, places, buckets, next: 0, peers: None, failed: None }
    }

    fn begin(&mut self, peers: Peers) {
        self.next = 0;
        self.failed = None;
        self.buckets.iter_mut().for_each(|bucket| bucket.arrived.fill(false));
        self.peers = Some(peers);
    }

    /// The gradient of a leaf is whole: takes it over, and starts what can start.
    fn arrived(&mut self, leaf: usize) {
        if self.peers.is_none() || self.failed.is_some() {
            return;
        }
        if let Err(error) = self.take(leaf).and_then(|()| self.start_full()) {
            self.failed = Some(error);
        }
    }

    fn take(&mut self, leaf: usize) -> Result<(), CollectiveError> {
        let (number, slot) = self.places[leaf];
        let bucket = &mut self.buckets[number];
        if std::mem::replace(&mut bucket.arrived[slot], true) {
            let reason =
                "a gradient was finished twice in one backward; activation checkpointing of a block that runs \
                          twice needs gradients reduced after backward"
                    .to_owned();
            return Err(CollectiveError::Aborted { reason });
        }
        let view = &mut bucket.slots[slot].1;
        match autograd::grad(&self.leaves[leaf])? {
            Some(gradient) => tch::no_grad(|| view.copy_(&gradient.detach())),
            None => _ = view.zero_(),
        }
        // The bucket holds it now: keeping both would double the memory of gradients.
        Ok(autograd::reset_grad(&self.leaves[leaf])?)
    }

    fn start_full(&mut self) -> Result<(), CollectiveError> {
        while self.buckets.get(self.next).is_some_and(|bucket| bucket.arrived.iter().all(|there| *there)) {
            self.start_next()?;
        }
        Ok(())
    }

    fn start_next(&mut self) -> Result<(), CollectiveError> {
        let Some(Peers(peers)) = self.peers else { return Ok(()) };
        let bucket = &mut self.buckets[self.next];
        self.next += 1;
        if let Some(lowered) = &mut bucket.lowered {
            tch::no_grad(|| lowered.copy_(&bucket.flat));
        }
        // SAFETY: `sum_during` holds the reference that this pointer was made of, and takes it back before it returns.
        let peers = unsafe { &*peers };
        bucket.bytes = (bucket.flat.numel() * peers.bytes_of_element(bucket.sent().kind().try_into()?)) as u64;
        // SAFETY: the buffer belongs to the bucket, is not touched before `finish`, and is leaked if anything fails.
        bucket.pending = Some(unsafe { peers.start_all_reduce(Buffer::of(bucket.sent())?, Op::Sum) }?);
        Ok(())
    }

    /// Starts what backward never reached, and waits for everything.
    fn finish(&mut self) -> Result<Transfer, CollectiveError> {
        let began = Instant::now();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while self.next < self.buckets.len() {
            let bucket = &mut self.buckets[self.next];
            for ((_, view), there) in bucket.slots.iter_mut().zip(&bucket.arrived) {
                if !there {
                    let _ = view.zero_();
                }
            }
            self.start_next()?;
        }
        let mut transfer = Transfer::default();
        for bucket in &mut self.buckets {
            if let Some(pending) = bucket.pending.take() {
                transfer.seconds += pending.finish()?;
            }
            transfer.bytes += bucket.bytes;
            if let Some(lowered) = &bucket.lowered {
                tch::no_grad(|| bucket.flat.copy_(lowered));
            }
        }
        transfer.exposed_s = began.elapsed().as_secs_f64();
        Ok(transfer)
    }

    /// Views of the sums, in the order of the leaves.
    fn sums(&self) -> Vec<Tensor> {
        self.places.iter().map(|(bucket, slot)| self.buckets[*bucket].slots[*slot].1.shallow_clone()).collect()
    }
}
