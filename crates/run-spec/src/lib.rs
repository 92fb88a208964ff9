//! What the programs must agree on: ids, configuration, schedules, plan, random streams. Pure.
