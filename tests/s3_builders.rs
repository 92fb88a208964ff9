//! Several builders on one bucket of a real S3 server, over a network that harms what they send and read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use store::Store;
use system_tests::fault_proxy::{Harm, Proxy, Rule};
use system_tests::own_process::{is_inner, run_inner};
use system_tests::s3_server::{BUCKET, S3Server};
use system_tests::tiny_run::text;
use system_tests::{program, run};

/// Every file of a set with its bytes.
fn files(set: &Store) -> BTreeMap<String, Vec<u8>> {
    let names = set.list("").expect("the set is listed").into_iter();
    names.map(|name| (name.clone(), set.get(&name).expect("a listed file").to_vec())).collect()
}

fn shards(set: &Store) -> usize {
    set.list("")
        .expect("the set is listed")
        .iter()
        .filter(|name| name.starts_with("shards/") && name.ends_with(".parquet"))
        .count()
}

/// Harm to shards, of which there are many: three damaged readings of one key are more than a store forgives.
fn rule(method: &'static str, times: usize, harm: Harm) -> Rule {
    Rule { method, contains: "/shards/", times, harm }
}

#[test]
fn four_builders_one_of_them_killed_write_one_set_over_a_bad_network() {
    let test = "four_builders_one_of_them_killed_write_one_set_over_a_bad_network";
    if !is_inner(test) {
        let Some(server) = S3Server::shared(test) else { return };
        let busy = Harm::Answer("503 Slow Down", "SlowDown");
        let proxy = Proxy::start(
            server.address(),
            &[
                rule("PUT", 3, busy),
                rule("PUT", 2, Harm::ResetBefore),
                rule("PUT", 2, Harm::LostAnswer),
                rule("GET", 2, Harm::CutBody),
                rule("GET", 2, Harm::WrongByte),
                rule("GET", 2, Harm::ShortBody),
                rule("GET", 1, busy),
            ],
        );
        let output = run_inner(test, server.env(proxy.address()));
        proxy.assert_spent();
        let logged = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!logged.contains(server.secret()) && !logged.contains(server.key_id()), "credentials were printed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let smears = folder.path().join("smears");
    run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3"]);
    let (sources, data) = (smears.join("sources"), smears.join("data"));
    let disk = folder.path().join("one");
    let build = |out: &str, more: &[&str]| -> Vec<String> {
        let options = ["--size", "56", "--rows-per-shard", "16", "--jobs", "1"];
        let fixed = ["build", text(&sources), "--data", text(&data), "--near-copies", "ignore", "--out", out];
        fixed.iter().chain(&options).chain(more).map(|&arg| arg.to_owned()).collect()
    };
    let arguments = build(text(&disk), &[]);
    run("shard-builder", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let one = files(&Store::open(text(&disk)).unwrap());
    let uri = format!("s3://{BUCKET}/four");
    let four = Store::open(&uri).unwrap();
    let start = |part: &str| -> Child {
        let mut command = Command::new(program("shard-builder"));
        command.args(build(&uri, &["--part", part])).env("RUST_LOG", "trace");
        command.stdout(Stdio::inherit()).stderr(Stdio::inherit()).spawn().unwrap()
    };
    let mut builders: Vec<Child> = ["1/4", "2/4", "3/4", "4/4"].into_iter().map(start).collect();
    let mut killed = builders.remove(0);
    while shards(&four) < 2 {
        assert!(killed.try_wait().unwrap().is_none(), "the first builder ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!four.exists("manifest.json").unwrap(), "the set was published in the middle");
    for mut builder in builders {
        assert!(builder.wait().unwrap().success());
    }
    let found = files(&four);
    assert!(
        one.keys().filter(|name| name.starts_with("shards/") && name.ends_with(".parquet")).count() >= 8,
        "{:?}",
        one.keys()
    );
    assert!(found == one, "{:?} and {:?}", found.keys(), one.keys());
    run("shard-builder", &["verify", &uri]);
}

/// Runs the builder, which must fail, and returns what it says.
fn refused(arguments: &[String]) -> String {
    let output = Command::new(program("shard-builder")).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} went through");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bucket_refuses_another_set_names_strays_and_goes_on_as_a_directory_does() {
    let test = "a_bucket_refuses_another_set_names_strays_and_goes_on_as_a_directory_does";
    if !is_inner(test) {
        let Some(server) = S3Server::shared(test) else { return };
        run_inner(test, server.env(server.address()));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let smears = folder.path().join("smears");
    run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3"]);
    let (sources, data) = (smears.join("sources"), smears.join("data"));
    let mut found = Vec::new();
    for base in [text(&folder.path().join("disk")).to_owned(), format!("s3://{BUCKET}/places")] {
        let build = |out: &str, size: &str| -> Vec<String> {
            let fixed =
                ["build", text(&sources), "--data", text(&data), "--near-copies", "ignore", "--rows-per-shard", "64"];
            fixed.iter().chain(&["--size", size, "--out", out]).map(|&arg| arg.to_owned()).collect()
        };
        let good =
            |arguments: Vec<String>| run("shard-builder", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (whole, killed, less) = (format!("{base}/whole"), format!("{base}/killed"), format!("{base}/less"));
        good(build(&whole, "112"));
        let set = Store::open(&whole).unwrap();
        let said = refused(&build(&whole, "56"));
        assert!(said.contains("is in use") && !said.contains("read "), "{said}");

        // As a build leaves it that was killed after two shards.
        let left = Store::open(&killed).unwrap();
        for key in set.list("shards").unwrap().iter().take(2).chain([&"build.json".to_owned()]) {
            left.create(key, set.get(key).unwrap()).unwrap();
        }
        let said = refused(&build(&killed, "56"));
        assert!(said.contains("2 shards are there") && !said.contains("read "), "{said}");
        let said = refused(&["verify".to_owned(), killed.clone()]);
        assert!(said.contains("2 shards and no manifest"), "{said}");
        left.create("shards/0123456789ab/00000.parquet", "of another plan".into()).unwrap();
        good(build(&killed, "112"));
        assert!(files(&left) == files(&set), "{:?} and {:?}", left.list(""), set.list(""));

        left.create("features.parquet", "a stray".into()).unwrap();
        let said = refused(&["verify".to_owned(), killed.clone()]);
        assert!(said.contains("1 fault\n") && said.contains("/killed/features.parquet"), "{said}");
        let source = set.get("manifest.json").unwrap();
        let source: serde_json::Value = serde_json::from_slice(&source).unwrap();
        let source = source["sources"][0]["name"].as_str().unwrap().to_owned();
        good(["remove", &whole, "--source", &source, "--out", &less].map(str::to_owned).to_vec());
        run("shard-builder", &["verify", &less]);
        found.push((files(&set), files(&Store::open(&less).unwrap())));
    }
    assert!(found[0] == found[1], "a bucket and a directory hold other sets");
}
