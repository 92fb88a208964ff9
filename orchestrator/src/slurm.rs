//! Trials as Slurm job arrays.
//!
//! The orchestrator submits and watches; the work and its records belong to the jobs. An array task runs
//! `orchestrator task`, which runs the worker and writes the attempt's own record into the store. So a dead orchestrator
//! loses nothing, and Slurm is asked only when a record is missing.
//!
//! * [`section`]: the sweep file's `slurm`; [`time`]: times as Slurm writes them; [`script`]: the text that is submitted. Pure. [`setup`]: what all jobs share.
//! * [`parse`], [`client`]: what Slurm's commands say, and how they are run.
//! * [`job_batch`]: the records of one submission; [`submit`]: making it happen exactly once.
//! * [`watch`]: the backend of a sweep; [`job_phase`]: what a pair of job states means. [`task`]: inside a job.
//! * [`control`]: `status` and `cancel`.

pub(crate) mod again;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod job_batch;
pub(crate) mod job_phase;
pub(crate) mod parse;
pub(crate) mod script;
pub(crate) mod section;
pub(crate) mod setup;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod watch;
