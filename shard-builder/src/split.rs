//! `split`: writes which fold each group belongs to.

use anyhow::{Context, Result, ensure};
use shards::{ShardSet, grouped_kfold, leave_one_source_out};
use store::Store;

use crate::cli::{SplitArgs, SplitKind};
use crate::output::{table, thousands};

/// Makes and publishes a split, and returns what to print.
///
/// # Errors
/// A set that cannot be read, a name that is no key, too few groups, another split of that name.
pub(crate) fn split(args: &SplitArgs) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ensure!(
        !args.name.is_empty() && args.name.len() <= 100 && args.name.chars().all(plain),
        "--name {}: use letters, digits, `-` and `_`",
        args.name
    );
    let store = Store::open(&args.uri)?;
    let set = ShardSet::open(&store).with_context(|| format!("open the shard set {}", args.uri))?;
    let split = match args.kind {
        SplitKind::GroupedKfold => grouped_kfold(set.metas(), args.folds, args.seed)?,
        SplitKind::LeaveOneSourceOut => leave_one_source_out(set.metas())?,
    };
    set.write_split(&args.name, &split).with_context(|| {
        format!("write the split {}; if it exists with other folds, choose another --name", args.name)
    })?;
    let mut rows = vec![0_u64; split.folds() as usize];
    let mut groups = rows.clone();
    for meta in set.metas() {
        if let Some(fold) = split.fold_of(&meta.group) {
            rows[fold as usize] += 1;
        }
    }
    for (_, fold) in split.groups() {
        groups[fold as usize] += 1;
    }
    let lines: Vec<Vec<String>> = (0..split.folds())
        .map(|fold| {
            let name = split.fold_name(fold).unwrap_or_default().to_owned();
            vec![name, thousands(groups[fold as usize]), thousands(rows[fold as usize])]
        })
        .collect();
    Ok(format!(
        "{}\n\nsplit {} of {}, {}",
        table(&["fold", "groups", "rows"], &["groups", "rows"], &lines),
        args.name,
        args.uri,
        split.digest().short()
    ))
}
