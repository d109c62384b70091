//! Tests of the whole: layers, simulation, faults, interoperability.
