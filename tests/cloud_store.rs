//! The store and a shard set on Azure's own test server and on a double of Google Cloud Storage. S3 has files of its own,
//! `s3_store.rs` and `s3.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use store::{Store, StoreError, contract};
use system_tests::azure_server::{AzureServer, CONTAINER};
use system_tests::fault_proxy::{Harm, Proxy, Rule};
use system_tests::gcs_double::{BUCKET, GcsDouble};
use system_tests::own_process::{is_inner, run_inner};
use system_tests::tiny_run::text;
use system_tests::{program, run};

/// What either service is put through: the contract, then harm by the rules of [`HARM`].
fn suite(uri: &str) {
    let store = Store::open(&format!("{uri}/contract")).unwrap();
    contract::run(&store);
    let store = Store::open(&format!("{uri}/harm")).unwrap();
    store.create("busy", "v".into()).unwrap();
    assert_eq!(store.get("busy").unwrap(), "v");
    // The server has acted, and a second try is refused: the mark says that the first one won.
    store.create("lost", "v".into()).unwrap();
    assert!(matches!(store.create("lost", "v".into()), Err(StoreError::AlreadyExists { .. })));
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    store.create("wrong", bytes.clone().into()).unwrap();
    assert!(store.get("wrong").unwrap() == bytes);
    store.create("cut", bytes.clone().into()).unwrap();
    assert_eq!(store.get_range("cut", 1000..301_000).unwrap(), bytes[1000..301_000]);
    let text = store.get("never").unwrap_err().to_string();
    let address = format!("{}/never could not be read in 7 attempts (", store.uri());
    assert!(text.starts_with(&address) && text.lines().count() == 1, "{text}");
}

const BUSY: Harm = Harm::Answer("503 Service Unavailable", "ServerBusy");
/// Paths as they stand in requests: Google's has its slashes escaped.
const HARM: &[Rule] = &[
    Rule { method: "PUT", contains: "busy", times: 4, harm: BUSY },
    Rule { method: "GET", contains: "busy", times: 4, harm: BUSY },
    Rule { method: "PUT", contains: "lost", times: 1, harm: Harm::LostAnswer },
    Rule { method: "GET", contains: "wrong", times: 2, harm: Harm::WrongByte },
    Rule { method: "GET", contains: "cut", times: 1, harm: Harm::CutBody },
    Rule { method: "GET", contains: "cut", times: 1, harm: Harm::ShortBody },
    Rule { method: "GET", contains: "never", times: 7, harm: BUSY },
];

/// With a wrong secret in the environment's `variable`: refused in one sentence that does not tell it.
fn refused(uri: &str, variable: &str) {
    let store = Store::open(uri).unwrap();
    for error in [store.get("k").unwrap_err(), store.create("k", "v".into()).unwrap_err(), store.list("").unwrap_err()]
    {
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        let (text, secret) = (error.to_string(), std::env::var(variable).unwrap());
        assert!(!text.contains(&secret) && !format!("{error:?}").contains(&secret), "{text}");
        let remedy = &variable[..variable.find('_').unwrap()];
        assert!(text.contains(store.uri()) && text.contains(remedy) && text.lines().count() == 1, "{text}");
    }
}

/// A shard set built and verified at `uri` is that on a directory, and the secret in `variable` is not logged.
fn shards_are_the_same(uri: &str, variable: &str) {
    let folder = tempfile::tempdir().unwrap();
    let smears = folder.path().join("smears");
    run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3"]);
    let (sources, data) = (smears.join("sources"), smears.join("data"));
    let build = |out: &str| {
        run(
            "shard-builder",
            &["build", text(&sources), "--data", text(&data), "--size", "112", "--near-copies", "ignore", "--out", out],
        );
        Store::open(out).unwrap().get("manifest.json").unwrap()
    };
    assert_eq!(build(uri), build(text(&folder.path().join("disk"))));
    let verify =
        Command::new(program("shard-builder")).args(["verify", uri]).env("RUST_LOG", "trace").output().unwrap();
    let logged = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success(), "{logged}");
    assert!(logged.contains("idle connection") || logged.contains("connecting to"), "nothing was traced: {logged}");
    assert!(!logged.contains(&std::env::var(variable).unwrap()), "{variable} is logged");
}

#[test]
fn shards_on_azure_are_those_on_a_directory() {
    let test = "shards_on_azure_are_those_on_a_directory";
    if is_inner(test) {
        return shards_are_the_same(&format!("az://{CONTAINER}/set"), "AZURE_STORAGE_ACCOUNT_KEY");
    }
    let Some(server) = AzureServer::shared(test) else { return };
    run_inner(test, server.env(server.address()));
}

#[test]
fn shards_on_a_double_of_google_are_those_on_a_directory() {
    let test = "shards_on_a_double_of_google_are_those_on_a_directory";
    if is_inner(test) {
        return shards_are_the_same(&format!("gs://{BUCKET}/set"), "GOOGLE_BEARER_TOKEN");
    }
    let double = GcsDouble::start();
    run_inner(test, double.env(double.address()));
}

#[test]
fn azure_keeps_the_contract_and_its_faults_are_outlasted() {
    let test = "azure_keeps_the_contract_and_its_faults_are_outlasted";
    if is_inner(test) {
        return suite(&format!("az://{CONTAINER}/suite"));
    }
    let Some(server) = AzureServer::shared(test) else { return };
    let proxy = Proxy::start(server.address(), HARM);
    run_inner(test, server.env(proxy.address()));
    proxy.assert_spent();
}

#[test]
fn azure_refuses_a_wrong_key_in_one_sentence() {
    let test = "azure_refuses_a_wrong_key_in_one_sentence";
    if is_inner(test) {
        return refused(&format!("az://{CONTAINER}/refused"), "AZURE_STORAGE_ACCOUNT_KEY");
    }
    let Some(server) = AzureServer::shared(test) else { return };
    let mut env = server.env(server.address());
    env.push(("AZURE_STORAGE_ACCOUNT_KEY", server.key().chars().rev().collect()));
    run_inner(test, env);
}

#[test]
fn a_double_of_google_keeps_the_contract_and_its_faults_are_outlasted() {
    let test = "a_double_of_google_keeps_the_contract_and_its_faults_are_outlasted";
    if is_inner(test) {
        return suite(&format!("gs://{BUCKET}/suite"));
    }
    let double = GcsDouble::start();
    let proxy = Proxy::start(double.address(), HARM);
    run_inner(test, double.env(proxy.address()));
    proxy.assert_spent();
}

#[test]
fn a_double_of_google_refuses_a_wrong_token_in_one_sentence() {
    let test = "a_double_of_google_refuses_a_wrong_token_in_one_sentence";
    if is_inner(test) {
        return refused(&format!("gs://{BUCKET}/refused"), "GOOGLE_BEARER_TOKEN");
    }
    let double = GcsDouble::start();
    let mut env = double.env(double.address());
    env.push(("GOOGLE_BEARER_TOKEN", double.token().chars().rev().collect()));
    run_inner(test, env);
}
