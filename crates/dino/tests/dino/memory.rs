//! What saves memory changes nothing: gradient accumulation gives the same step up to rounding, and activation
//! checkpointing the same step to the bit.

use crate::support::runs::{
    CENTERINGS, assert_near, assert_near_losses, assert_same, copies, new, on_ranks, take_steps, tiny,
};
use collective::Solo;
use dino::DinoError;
use run_spec::config::Precision;

#[test]
fn checkpointed_blocks_give_the_same_step_to_the_bit() {
    for precision in [Precision::F32, Precision::Bf16] {
        let mut c = tiny();
        (c.model.drop_path, c.train.precision) = (0.4, precision);
        let mut kept = new(&c);
        let losses = take_steps(&mut kept, &c, 0..3, &Solo::new());
        c.train.activation_checkpointing = true;
        let mut again = new(&c);
        assert_eq!(take_steps(&mut again, &c, 0..3, &Solo::new()), losses, "{precision}");
        assert_same(&copies(&kept), &copies(&again));
    }
}

#[test]
fn checkpointed_blocks_hand_each_gradient_to_the_peers_once() {
    let mut c = tiny();
    (c.model.drop_path, c.train.precision) = (0.4, Precision::F64);
    let (kept, losses) = on_ranks(&c, 2, 3);
    c.train.activation_checkpointing = true;
    let (again, others) = on_ranks(&c, 2, 3);
    assert_eq!(losses, others);
    assert_same(&kept[0], &again[0]);
}

#[test]
fn accumulation_changes_nothing_but_rounding() {
    for centering in CENTERINGS {
        // Groups of two images: KoLeo acts, and each part is whole groups. Without it a part may be anything.
        for (koleo, groups, parts) in [(0.1, 4, 2), (0.1, 4, 4), (0.0, 1, 3), (0.0, 2, 8)] {
            let mut c = tiny();
            (c.loss.centering, c.loss.koleo_weight, c.train.loss_groups) = (centering, koleo, groups);
            (c.model.drop_path, c.train.precision) = (0.4, Precision::F64);
            let mut whole = new(&c);
            let losses = take_steps(&mut whole, &c, 0..3, &Solo::new());
            c.train.gradient_accumulation = parts;
            let what = format!("{centering}, {groups} loss groups, {parts} parts");
            let mut cut = new(&c);
            let others = take_steps(&mut cut, &c, 0..3, &Solo::new());
            assert_near_losses(&losses, &others, 1e-9, &what);
            assert_near(&copies(&whole), &copies(&cut), 1e-9, &what);
            // Two ranks hold four images each: four parts are one image each, which KoLeo cannot do with.
            c.train.gradient_accumulation = parts.min(if koleo > 0.0 { 2 } else { 4 });
            let (states, others) = on_ranks(&c, 2, 3);
            assert_near_losses(&losses, &others, 1e-9, &what);
            assert_near(&copies(&whole), &states[0], 1e-9, &format!("{what}, 2 ranks"));
        }
    }
}

#[test]
fn a_part_that_cuts_a_group_of_koleo_is_refused() {
    let mut c = tiny();
    (c.train.loss_groups, c.train.gradient_accumulation) = (2, 4);
    let error = new(&c).check_world(1).unwrap_err();
    assert!(matches!(error, DinoError::Accumulation { parts: 4, images: 8, group: 4 }), "{error}");
    assert!(error.to_string().contains("train.loss_groups"), "{error}");
    // Two ranks of four images, in two parts each: every part is half a group.
    c.train.gradient_accumulation = 2;
    new(&c).check_world(1).unwrap();
    assert!(new(&c).check_world(2).is_err());
    c.loss.koleo_weight = 0.0;
    new(&c).check_world(2).unwrap();
}
