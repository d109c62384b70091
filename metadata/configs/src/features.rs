//! Feature levels, as a broker reports them in `ApiVersions`.
//!
//! [`KAFKA_4_2`] is what a freshly formatted Kafka 4.2.0 answers; [`OFFERED`] is what Siltstone answers: the same without those features
//! whose protocols are not served (share groups, streams groups), since a client believes what is finalized. Names are sorted.
//! The epoch and a cluster's own levels belong to the catalog.

/// A feature, the levels that are supported, and the one that a new cluster finalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name.
    pub name: &'static str,
    /// The lowest level that is supported.
    pub min: i16,
    /// The highest level that is supported.
    pub max: i16,
    /// The level of a new cluster. At level 0 a feature is off, and not among the finalized ones.
    pub level: i16,
}

const fn feature(name: &'static str, min: i16, max: i16) -> Feature {
    Feature { name, min, max, level: max }
}

/// Kafka 4.2's features. `metadata.version` 7 is 3.3-IV3, 29 is 4.2-IV1.
pub const KAFKA_4_2: [Feature; 7] = [
    feature("eligible.leader.replicas.version", 0, 1),
    feature("group.version", 0, 1),
    feature("kraft.version", 0, 1),
    feature("metadata.version", 7, 29),
    feature("share.version", 0, 1),
    feature("streams.version", 0, 1),
    feature("transaction.version", 0, 2),
];

/// Siltstone's features: group.version 1 is the consumer protocol of KIP-848, transaction.version 2 that of KIP-890.
pub const OFFERED: [Feature; 5] = [KAFKA_4_2[0], KAFKA_4_2[1], KAFKA_4_2[2], KAFKA_4_2[3], KAFKA_4_2[6]];

/// The features to list as supported in an answer of this version of `ApiVersions`. Before version 4 clients reject a lowest
/// level of 0, so Kafka leaves such features out there; they are still among the finalized ones.
pub fn supported(api_version: i16) -> impl Iterator<Item = Feature> {
    OFFERED.into_iter().filter(move |feature| api_version >= 4 || feature.min > 0)
}

/// The features to list as finalized in a new cluster.
pub fn finalized() -> impl Iterator<Item = Feature> {
    OFFERED.into_iter().filter(|feature| feature.level > 0)
}

/// The feature of a name, if Siltstone offers it.
pub fn find(name: &str) -> Option<Feature> {
    OFFERED.into_iter().find(|feature| feature.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_supported_and_names_sorted() {
        assert!(KAFKA_4_2.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(OFFERED.windows(2).all(|pair| pair[0].name < pair[1].name));
        for feature in OFFERED {
            assert!(KAFKA_4_2.contains(&feature));
            assert!(feature.min <= feature.level && feature.level <= feature.max);
            assert_eq!(find(feature.name), Some(feature));
        }
        assert_eq!(find("share.version"), None);
    }

    #[test]
    fn version_three_lists_only_what_starts_above_zero() {
        let names = |version| supported(version).map(|feature| feature.name).collect::<Vec<_>>();
        assert_eq!(names(3), ["metadata.version"]);
        assert_eq!(names(4).len(), OFFERED.len());
        assert_eq!(finalized().count(), 5);
        assert_eq!(find("metadata.version").map(|f| (f.min, f.max, f.level)), Some((7, 29, 29)));
        assert_eq!(find("transaction.version").map(|f| f.level), Some(2));
        assert_eq!(find("group.version").map(|f| f.level), Some(1));
    }
}
