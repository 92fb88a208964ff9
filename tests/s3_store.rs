//! The store on a real S3 server: its contract, and what it makes of a network and a server that misbehave.

use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{Store, StoreError, contract};
use system_tests::fault_proxy::{Harm, Proxy, Rule};
use system_tests::own_process::{is_inner, run_inner};
use system_tests::s3_server::{BUCKET, S3Server};

/// Runs `body` against the server through a proxy that harms by `rules`, and checks that all harm was done.
fn harmed(test: &str, rules: &[Rule], more: &[(&'static str, &str)], body: fn(Store)) {
    if is_inner(test) {
        return body(Store::open(&format!("s3://{BUCKET}/{test}")).expect("the store opens"));
    }
    let Some(server) = S3Server::shared(test) else { return };
    let proxy = Proxy::start(server.address(), rules);
    let mut env = server.env(proxy.address());
    env.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    run_inner(test, env);
    proxy.assert_spent();
}

fn rule(method: &'static str, contains: &'static str, times: usize, harm: Harm) -> Rule {
    Rule { method, contains, times, harm }
}

#[test]
fn s3_keeps_the_contract() {
    harmed("s3_keeps_the_contract", &[], &[], |store| {
        contract::run(&store);
        let wrong = Store::open("s3://no-such-bucket-here").unwrap().get("x").unwrap_err();
        assert!(matches!(wrong, StoreError::NotFound { .. } | StoreError::Denied { .. }), "{wrong}");
    });
}

#[test]
fn a_conflict_with_nothing_written_is_tried_again() {
    let conflict = Harm::Answer("409 Conflict", "ConditionalRequestConflict");
    let rules = [rule("PUT", "/twice", 2, conflict), rule("PUT", "/always", 5, conflict)];
    harmed("a_conflict_with_nothing_written_is_tried_again", &rules, &[], |store| {
        store.create("twice", "v".into()).unwrap();
        assert_eq!(store.get("twice").unwrap(), "v");
        let error = store.create("always", "v".into()).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { operation: "created", attempts: 5, .. }), "{error:?}");
        assert!(!store.exists("always").unwrap());
    });
}

#[test]
fn a_server_that_is_too_busy_is_asked_again_up_to_a_limit() {
    let busy = Harm::Answer("503 Slow Down", "SlowDown");
    let rules = [rule("PUT", "/burst", 4, busy), rule("GET", "/burst", 4, busy), rule("GET", "/never", 7, busy)];
    harmed("a_server_that_is_too_busy_is_asked_again_up_to_a_limit", &rules, &[], |store| {
        store.create("burst", "v".into()).unwrap();
        assert_eq!(store.get("burst").unwrap(), "v");
        let text = store.get("never").unwrap_err().to_string();
        let address = format!("{}/never could not be read in 7 attempts (", store.uri());
        assert!(text.starts_with(&address) && text.contains("SlowDown") && text.lines().count() == 1, "{text}");
    });
}

#[test]
fn a_create_whose_answer_is_lost_has_won() {
    let rules = [
        rule("PUT", "/lost", 1, Harm::LostAnswer),
        rule("PUT", "/before", 2, Harm::ResetBefore),
        rule("PUT", "/taken", 1, Harm::Pass),
        rule("PUT", "/taken", 1, Harm::LostAnswer),
        rule("POST", "delete", 1, Harm::LostAnswer),
    ];
    harmed("a_create_whose_answer_is_lost_has_won", &rules, &[], |store| {
        // The server has acted, and the client's own second try is refused: the mark says that the first one won.
        store.create("lost", "v".into()).unwrap();
        assert!(matches!(store.create("lost", "v".into()), Err(StoreError::AlreadyExists { .. })));
        store.create("before", "v".into()).unwrap();
        assert_eq!(store.get("before").unwrap(), "v");
        // The key is another's and the first refusal is lost: its equal bytes do not make this call the winner.
        Store::open(store.uri()).unwrap().create("taken", "v".into()).unwrap();
        assert!(matches!(store.create("taken", "v".into()), Err(StoreError::AlreadyExists { .. })));
        store.delete("lost").unwrap();
        assert!(!store.exists("lost").unwrap());
    });
}

#[test]
fn bytes_that_come_cut_short_or_wrong_are_read_again() {
    let rules = [
        rule("GET", "/cut", 2, Harm::CutBody),
        rule("GET", "/short", 2, Harm::ShortBody),
        rule("GET", "/wrong", 2, Harm::WrongByte),
        rule("GET", "/bad", 3, Harm::WrongByte),
        rule("GET", "/range", 1, Harm::CutBody),
        rule("GET", "/range", 1, Harm::ShortBody),
    ];
    harmed("bytes_that_come_cut_short_or_wrong_are_read_again", &rules, &[], |store| {
        let bytes: Bytes = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for key in ["cut", "short", "wrong", "bad", "range"] {
            store.create(key, bytes.clone()).unwrap();
        }
        for key in ["cut", "short", "wrong"] {
            assert!(store.get(key).unwrap() == bytes, "{key}");
        }
        let expected = StoreError::Damaged { uri: format!("{}/bad", store.uri()), reads: 3 };
        assert_eq!(store.get("bad").unwrap_err(), expected);
        assert_eq!(store.get_range("range", 1000..301_000).unwrap(), bytes.slice(1000..301_000));
    });
}

#[test]
fn bytes_that_go_wrong_on_their_way_up_are_sent_again() {
    let rules = [rule("PUT", "/up", 1, Harm::WrongByteUp)];
    harmed("bytes_that_go_wrong_on_their_way_up_are_sent_again", &rules, &[], |store| {
        // The server compares the checksum that goes up beside the bytes; they are sent again.
        store.create("up", vec![7; 5000].into()).unwrap();
        assert_eq!(store.get("up").unwrap(), vec![7; 5000]);
    });
}

#[test]
fn an_answer_that_stalls_is_given_up_and_its_rest_asked_for() {
    let rules = [rule("GET", "/stall", 1, Harm::Stall)];
    let limit = [("AWS_READ_TIMEOUT", "1s")];
    harmed("an_answer_that_stalls_is_given_up_and_its_rest_asked_for", &rules, &limit, |store| {
        store.create("stall", vec![7; 50_000].into()).unwrap();
        assert_eq!(store.get("stall").unwrap(), vec![7; 50_000]);
    });
}

#[test]
fn a_wrong_secret_is_one_sentence_without_it() {
    let test = "a_wrong_secret_is_one_sentence_without_it";
    if is_inner(test) {
        let store = Store::open(&format!("s3://{BUCKET}/{test}")).unwrap();
        for error in
            [store.get("k").unwrap_err(), store.create("k", "v".into()).unwrap_err(), store.list("").unwrap_err()]
        {
            assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
            let texts = [error.to_string(), format!("{error:?}")];
            for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
                let secret = std::env::var(name).unwrap();
                assert!(texts.iter().all(|text| !text.contains(&secret)), "{name} is shown: {texts:?}");
            }
            assert!(texts[0].contains(store.uri()) && texts[0].lines().count() == 1, "{}", texts[0]);
        }
        return;
    }
    let Some(server) = S3Server::shared(test) else { return };
    let mut env = server.env(server.address());
    env.push(("AWS_SECRET_ACCESS_KEY", "NOTTHESECRET".to_owned()));
    run_inner(test, env);
}

#[test]
fn more_than_one_request_takes_goes_up_in_parts_with_its_digest() {
    let test = "more_than_one_request_takes_goes_up_in_parts_with_its_digest";
    if is_inner(test) {
        let store = Store::open(&format!("s3://{BUCKET}/{test}")).unwrap();
        let bytes = Bytes::from(vec![7; 129 << 20]);
        store.create("checkpoint", bytes.clone()).unwrap();
        assert!(store.get("checkpoint").unwrap() == bytes);
        assert!(matches!(store.create("checkpoint", bytes), Err(StoreError::AlreadyExists { .. })));
        let refused = store.create("one-request", vec![7; 65 << 20].into()).unwrap_err().to_string();
        assert!(refused.contains("EntityTooLarge"), "the proxy refuses what is too large: {refused}");
        return;
    }
    let Some(server) = S3Server::shared(test) else { return };
    let proxy = Proxy::start(server.address(), &[rule("PUT", "partNumber=3", 1, Harm::ResetBefore)]);
    proxy.limit(64 << 20);
    run_inner(test, server.env(proxy.address()));
    proxy.assert_spent();
}

#[test]
fn a_server_that_is_stopped_for_two_seconds_is_waited_for() {
    let test = "a_server_that_is_stopped_for_two_seconds_is_waited_for";
    if is_inner(test) {
        let store = Store::open(&format!("s3://{BUCKET}/{test}")).unwrap().patient(Duration::from_secs(60));
        store.create("before", "v".into()).unwrap();
        // Until the proxy ends the connections, a handful of keys is created; the one that it meets waits.
        for number in 0.. {
            let began = Instant::now();
            store.create(&format!("during/{number}"), "v".into()).unwrap();
            if began.elapsed() > Duration::from_secs(1) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(store.get("before").unwrap(), "v");
        return;
    }
    let Some(server) = S3Server::shared(test) else { return };
    let proxy = Proxy::start(server.address(), &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| run_inner(test, server.env(proxy.address())));
        proxy.away_after("during/3", Duration::from_secs(2));
    });
}
