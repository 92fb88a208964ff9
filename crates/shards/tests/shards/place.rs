//! The place of a set: whose it is, and what may lie there.

use crate::common::{publish, rows};
use run_spec::ids::Digest;
use shards::{
    CARD_KEY, CLAIM_KEY, Claim, EXAMPLES_KEY, Manifest, ShardError, StrayKind, VerifyOptions, planned_shard_key,
    remove_debris, shard_key, strays, verify,
};
use store::Store;

fn claim(config: &[u8]) -> Claim {
    Claim { config: Digest::of(config), builder: "test 1".into() }
}

#[test]
fn a_place_belongs_to_one_configuration_as_long_as_it_has_shards() {
    let store = Store::open("memory://claims").unwrap();
    claim(b"one").take(&store).unwrap();
    claim(b"one").take(&store).unwrap();
    claim(b"two").take(&store).unwrap();
    assert!(matches!(claim(b"one").verify_held(&store), Err(ShardError::Taken { .. })));
    claim(b"one").release(&store).unwrap();
    claim(b"two").verify_held(&store).unwrap();
    store.create(&planned_shard_key(&Digest::of(b"plan"), 0), "x".into()).unwrap();
    let said = claim(b"one").take(&store).unwrap_err().to_string();
    assert!(said.contains("1 shard is there of a build by test 1") && said.contains("another place"), "{said}");
    claim(b"two").release(&store).unwrap();
    assert!(store.exists(CLAIM_KEY).unwrap(), "a build that has written shards keeps its place");
    store.create("shards/readme.txt", "x".into()).unwrap();
    assert!(matches!(Manifest::read(&store), Err(ShardError::Unfinished { shards: 1, .. })));
    store.delete(CLAIM_KEY).unwrap();
    assert!(
        matches!(Manifest::read(&store), Err(ShardError::Torn { shards: 1, .. })),
        "nothing says which build to run"
    );
    store.delete(&planned_shard_key(&Digest::of(b"plan"), 0)).unwrap();
    assert!(
        matches!(Manifest::read(&store), Err(ShardError::Store(_))),
        "a text file beside no shard is not taken for one"
    );
}

#[test]
fn no_set_lies_inside_another_or_beside_foreign_tables() {
    let store = Store::open("memory://nested").unwrap();
    let manifest = publish(&store.child("set"), &rows(1, 8), 4);
    let take = |place: &str| claim(b"one").take(&store.child(place)).map_err(|error| error.to_string());
    for inside in ["set/sub", "set/shards/deep/er"] {
        let said = take(inside).unwrap_err();
        assert!(said.contains("inside the shard set memory://nested/set,") && said.contains("another place"), "{said}");
    }
    let around = claim(b"one").take(&store).unwrap_err().to_string();
    assert!(around.contains("set/shards/00000.parquet is there"), "{around}");
    let later = String::from_utf8(manifest.to_bytes().to_vec()).unwrap().replace("\"version\":1", "\"version\":3");
    store.create("later/manifest.json", later.into()).unwrap();
    assert!(take("later/sub").unwrap_err().contains("is inside"));
    // Records of other programs by these names are no sets.
    store.create("app/manifest.json", "{}".into()).unwrap();
    store.create("app/build.json", "{}".into()).unwrap();
    take("app/sub").unwrap();
    store.create("tables/deep/features.PARQUET", "x".into()).unwrap();
    assert!(take("tables").unwrap_err().contains("deep/features.PARQUET is there"));
    // What a build wrote does not stop it, and what was put beside it does.
    store.create(&format!("app/sub/{}", planned_shard_key(&Digest::of(b"plan"), 0)), "x".into()).unwrap();
    take("app/sub").unwrap();
    store.create("app/sub/features.parquet", "x".into()).unwrap();
    assert!(take("app/sub").unwrap_err().contains("features.parquet is there"));
}

#[test]
fn of_two_builds_one_in_the_other_s_place_the_first_to_write_goes_on() {
    let shard = planned_shard_key(&Digest::of(b"plan"), 0);
    for first in ["", "sub"] {
        let store = Store::open(&format!("memory://race-{first}")).unwrap();
        let stores = [store.clone(), store.child("sub")];
        let claims = [claim(b"outer"), claim(b"inner")];
        for (claim, store) in claims.iter().zip(&stores) {
            claim.take(store).unwrap();
            claim.verify_held(store).unwrap();
        }
        let writer = usize::from(first == "sub");
        stores[writer].create(&shard, "x".into()).unwrap();
        claims[writer].verify_held(&stores[writer]).unwrap();
        let late = claims[1 - writer].verify_held(&stores[1 - writer]).unwrap_err();
        assert!(matches!(late, ShardError::Inside { .. } | ShardError::Taken { .. }), "{late}");
    }
}

#[test]
fn a_set_is_sound_only_without_strays_and_only_debris_of_builds_is_removed() {
    let store = Store::open("memory://strays").unwrap();
    let manifest = publish(&store, &rows(1, 8), 4);
    let good = || verify(&store, VerifyOptions::default()).unwrap();
    assert!(good().is_good());
    let debris = "shards/0123456789ab/00000.parquet";
    for (key, kind) in [
        (debris, Some(StrayKind::Shard)),
        ("shards/backup/00000.parquet", Some(StrayKind::Shard)),
        ("shards/notes.txt", Some(StrayKind::NoShard)),
        ("deeper/features.PARQUET", Some(StrayKind::Table)),
        ("splits/g.csv", Some(StrayKind::Table)),
        ("notes.txt", None),
        ("runs/a/run.json", None),
    ] {
        store.create(key, "x".into()).unwrap();
        let found: Vec<_> =
            strays(&store, &manifest).unwrap().into_iter().map(|stray| (stray.name, stray.kind)).collect();
        assert_eq!(found, kind.map(|kind| (key.to_owned(), kind)).into_iter().collect::<Vec<_>>());
        assert_eq!(good().fault_count, found.len() as u64, "{key}");
        if key == debris {
            assert_eq!(remove_debris(&store, &manifest).unwrap(), [debris]);
        } else {
            assert!(remove_debris(&store, &manifest).unwrap().is_empty(), "{key}");
            store.delete(key).unwrap();
        }
    }
    assert!(store.exists(&shard_key(0)).unwrap() && good().is_good());
    let own = Claim { config: manifest.config, builder: "test 1".into() };
    store.create(CLAIM_KEY, serde_json::to_string(&own).unwrap().into()).unwrap();
    for (key, faults) in [(CARD_KEY, 2), (EXAMPLES_KEY, 1)] {
        let report = good();
        assert_eq!(report.fault_count, faults, "{:?}", report.faults);
        assert!(report.faults.iter().all(|fault| matches!(fault, ShardError::NoCard { .. })));
        store.create(key, "x".into()).unwrap();
    }
    assert!(good().is_good());
    store.delete(CLAIM_KEY).unwrap();
    store.create(CLAIM_KEY, r#"{"builder":"test 1","config":"00"}"#.into()).unwrap();
    assert!(matches!(good().faults[..], [ShardError::Claim { .. }]));
}
