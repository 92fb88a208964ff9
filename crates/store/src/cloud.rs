//! The clients of buckets: S3, Google Cloud Storage and Azure Blob Storage, each from its own environment.

use crate::retry::REQUESTS;
use crate::uri::Service;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, Result, RetryConfig};
use std::sync::{Arc, Once};
use std::time::Duration;

/// A client setting that holds where the environment says nothing: its key, the end of its variable, its value.
type Setting = (ClientConfigKey, &'static str, &'static str);
/// A whole request may take minutes for a 256 MiB shard on a slow line; the client's default is 30 s.
const WHOLE: Setting = (ClientConfigKey::Timeout, "TIMEOUT", "600s");
/// A reply that stalls is given up and its rest asked for again.
const READS: &[Setting] = &[WHOLE, (ClientConfigKey::ReadTimeout, "READ_TIMEOUT", "30s")];
/// The wait for the answer to a large upload counts as a stall, so writes have no such limit.
const WRITES: &[Setting] = &[WHOLE, (ClientConfigKey::ReadTimeout, "TIMEOUT", "600s")];

/// A client for reading and one for writing.
pub(crate) fn clients(service: Service, bucket: &str) -> Result<(Arc<dyn ObjectStore>, Arc<dyn ObjectStore>)> {
    static PROVIDER: Once = Once::new();
    // Fails when the program has chosen a provider already, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let client = match service {
        Service::S3 => s3,
        Service::Google => google,
        Service::Azure => azure,
    };
    Ok((client(bucket, READS)?, client(bucket, WRITES)?))
}

fn s3(bucket: &str, defaults: &[Setting]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
    if std::env::var_os("AWS_CHECKSUM_ALGORITHM").is_none() {
        // Not every server compares the bytes with the signature that covers them; with a checksum beside them they do.
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    for (key, value) in settings("AWS", defaults) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.build()?))
}

fn google(bucket: &str, defaults: &[Setting]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retries());
    for (key, value) in settings("GOOGLE", defaults) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(container: &str, defaults: &[Setting]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(retries());
    for (key, value) in settings("AZURE", defaults) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.build()?))
}

/// Retries that end: each request is sent at most 7 times, and not again later than 90 s after the first.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: REQUESTS as usize - 1,
        retry_timeout: Duration::from_secs(90),
    }
}

/// `defaults`, each replaced by what the environment says under the service's prefix.
fn settings(prefix: &str, defaults: &[Setting]) -> impl Iterator<Item = (ClientConfigKey, String)> {
    defaults.iter().map(move |(key, end, value)| {
        (*key, std::env::var(format!("{prefix}_{end}")).unwrap_or_else(|_| (*value).to_owned()))
    })
}
