use super::*;

fn range(begin: u8, end: u8) -> KeyRange {
    KeyRange::new(vec![begin], vec![end])
}

/// The window against a list of all writes, over a few hundred random steps.
#[test]
fn agrees_with_a_list_of_all_writes() {
    for seed in 0..200_u64 {
        let mut chance = crate::memory::Chance::new(seed);
        let (mut window, mut all) = (Window::new(Version(0)), Vec::new());
        for version in 1..60 {
            let (a, b) = (chance.below(12) as u8, chance.below(12) as u8);
            let written = if chance.below(2) == 0 { range(a, a + 1) } else { range(a, b) };
            match written.end.as_ref() == [a + 1] {
                true => window.wrote(Touch::Key(&written.begin), Version(version)),
                false => window.wrote(Touch::Range(&written), Version(version)),
            }
            all.push((written, version));
            if chance.below(10) == 0 {
                window.forget(Version(version / 2));
            }
            let at = chance.below(version + 1);
            let read = range(chance.below(12) as u8, chance.below(13) as u8);
            let expected = if at < window.floor.0 {
                Err(CommitError::TooOld)
            } else if all.iter().any(|(range, version)| *version > at && range.overlaps(&read)) {
                Err(CommitError::Conflict)
            } else {
                Ok(())
            };
            assert_eq!(window.verdict(&[read], Version(at)), expected, "seed {seed} version {version}");
        }
    }
}

#[test]
fn shrinks_to_a_bound_and_raises_the_floor() {
    let mut window = Window::new(Version(0));
    for version in 1..=1_000_u64 {
        let key = Bytes::from(version.to_be_bytes().to_vec());
        window.wrote(Touch::Key(&key), Version(version));
    }
    window.shrink_to(10_000);
    assert!(window.bytes() <= 10_000);
    assert_eq!(window.verdict(&[range(0, 1)], Version(1)), Err(CommitError::TooOld));
    assert_eq!(window.verdict(&[range(0, 1)], Version(1_000)), Ok(()));
    assert_eq!(window.verdict(&[range(0, 1)], Version(999)), Err(CommitError::Conflict));
}
