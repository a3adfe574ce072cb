//! Random changes to crafted chunks: whatever is wrong with a chunk, the selection leaves out no
//! record that a full parse calls ours.

#[path = "support/full/mod.rs"]
mod full;
mod support;

use full::mutate::Change;
use full::seeds;
use proptest::prelude::*;

fn change() -> impl Strategy<Value = Change> {
    (any::<u8>(), any::<u16>(), any::<u32>()).prop_map(|(kind, site, value)| Change {
        kind,
        site,
        value,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changed_chunks(
        number in any::<usize>(),
        changes in prop::collection::vec(change(), 1..6),
        sound in prop::bool::weighted(0.8),
    ) {
        let chunk = seeds::changed(number, &changes, sound);
        let checked = seeds::check(&chunk);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let chunk = seeds::chunk_of(&bytes);
        let checked = chunk.map_or(Ok(Default::default()), |chunk| seeds::check(&chunk));
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}

/// The changes must leave enough to test: records that still decode and are still ours.
#[test]
fn crafted_chunks_hold_records_of_ours() {
    let counts = seeds::chunks()
        .iter()
        .map(|chunk| seeds::check(chunk).unwrap());
    let ours: usize = counts.map(|counts| counts.ours).sum();
    assert!(ours >= seeds::chunks().len(), "{ours}");
}
