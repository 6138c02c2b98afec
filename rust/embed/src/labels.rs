//! Labels that change: the row of what has one and the rows of both labels change together.

use crate::pool::{Container, Pool};
use crate::route::told;
use crate::scrub;
use crate::system::System;
use crate::tables::{self, Row};
use daos_client::{ContainerObjects as _, Error, Result};
use daos_types::{Der, Durability, ScrubChange, ScrubStatus};

impl Pool {
    /// Gives it another label, and changes how it is scrubbed, both or none; durable at return. Handles that others hold go on telling
    /// the old label. The scrubber follows with its next slice.
    pub fn change(&self, label: Option<&str>, scrub: ScrubChange) -> Result<()> {
        let guard = &self.system.guard;
        let _open = guard.enter()?;
        let _tables = self.system.tables.lock();
        let row = self.row()?;
        let settings = guard.scrubs.settings(self.uuid).with(scrub);
        let (scrub_name, scrub_row) = (scrub::settings_name(self.uuid), scrub::encode_settings(settings));
        let also = (scrub != ScrubChange::default()).then_some((&scrub_name[..], &scrub_row[..]));
        let name = tables::pool_name(&self.uuid.0);
        let label_name = tables::pool_label_name;
        let new = label.unwrap_or(&row.label).to_owned();
        relabel(&self.system, &name, &self.uuid.0, row, &new, label_name, also)?;
        *self.label.lock() = new;
        if also.is_some() {
            guard.scrubs.set(self.uuid, settings);
            guard.wake_background();
        }
        Ok(())
    }

    /// What the scrubber has to tell.
    pub fn scrub_status(&self) -> Result<ScrubStatus> {
        let _open = self.system.guard.enter()?;
        self.row()?;
        Ok(self.system.guard.scrubs.status(self.uuid))
    }
}

impl Container {
    /// Gives it another label; durable at return. Handles that others hold go on telling the old one.
    pub fn set_label(&self, label: &str) -> Result<()> {
        let pool = &self.pool;
        let _open = pool.system.guard.enter()?;
        self.check_writable()?;
        let _tables = pool.system.tables.lock();
        let name = tables::cont_name(&pool.uuid.0, &self.uuid.0);
        let label_name = |label: &str| tables::cont_label_name(&pool.uuid.0, label);
        relabel(&pool.system, &name, &self.uuid.0, self.row()?, label, label_name, None)?;
        label.clone_into(&mut self.label.lock());
        Ok(())
    }
}

/// Changes a label, and writes a row beside.
fn relabel(
    system: &System,
    name: &[u8],
    uuid: &[u8; 16],
    row: Row,
    label: &str,
    label_name: impl Fn(&str) -> Vec<u8>,
    also: Option<(&[u8], &[u8])>,
) -> Result<()> {
    tables::check(label, &row.props)?;
    let is_new = row.label != label;
    if !is_new && also.is_none() {
        return Ok(());
    }
    if is_new && system.row(&label_name(label))?.is_some() {
        return Err(Error::new(Der::Exist, format!("label {label:?} is taken")).hint("choose another label"));
    }
    let old = label_name(&row.label);
    let row = Row { label: label.to_owned(), ..row };
    let store = &system.guard.store;
    let commit = || {
        let mut tx = store.begin()?;
        if is_new {
            tx.set_service_row(name, Some(&row.encode()))?;
            tx.set_service_row(&old, None)?;
            tx.set_service_row(&label_name(label), Some(uuid))?;
        }
        if let Some((name, row)) = also {
            tx.set_service_row(name, Some(row))?;
        }
        store.wait(tx.commit()?, Durability::Synced)
    };
    store.with_room(commit).map_err(told)
}
