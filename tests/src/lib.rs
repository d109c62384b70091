//! Tests of the whole: layers, simulation, faults, interoperability.
//!
//! [`sim`] is the simulation and [`layers`] the check of the layer table; the tests themselves lie in `tests/`.

pub mod layers;
pub mod sim;
