//! The storage does what its model does, across power cuts and openings.

use crate::disk::store;
use crate::sim;
use daos_consensus::{GroupId, Vault};
use daos_vos::media::MemoryMedia;
use std::sync::Arc;

const IDENTITY: [u8; 16] = [9; 16];

#[test]
fn what_was_synced_is_what_is_opened() {
    let (mut writes, mut opened) = (0, 0);
    for seed in 1..=6 {
        let world = sim::run(seed, false);
        let mut media = MemoryMedia::new();
        let mut vault = Vault::create(Arc::new(media.clone()), IDENTITY).unwrap();
        for (nth, replica) in world.replicas.values().enumerate() {
            let (first, journal) = &replica.journal;
            let group = GroupId([nth as u8 + 1; 16]);
            let mut model = first.clone();
            vault.create_group(group, first).unwrap();
            for (place, write) in journal.iter().enumerate() {
                let position = vault.write(group, write).unwrap();
                store(&mut model, write);
                writes += 1;
                if place % 7 == 0 {
                    vault.sync(position).unwrap();
                }
                if place % 50 == 3 {
                    vault.sync(position).unwrap();
                    // As after a kill: nothing was closed.
                    media = media.snapshot();
                    vault = Vault::open(Arc::new(media.clone()), IDENTITY).unwrap();
                    assert_eq!(vault.open_group(group).unwrap(), model);
                    opened += 1;
                }
                while vault.step().unwrap() {}
            }
            assert_eq!(vault.open_group(group).unwrap(), model);
        }
        vault.close().unwrap();
        let vault = Vault::open(Arc::new(media), IDENTITY).unwrap();
        assert_eq!(vault.groups().unwrap().len(), world.replicas.len());
    }
    println!("{writes} writes, {opened} openings");
    assert!(writes > 1000 && opened > 20);
}
