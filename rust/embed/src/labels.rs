//! Labels that change: the row of what has one and the rows of both labels change together.

use crate::pool::{Container, Pool};
use crate::route::told;
use crate::system::System;
use crate::tables::{self, Row};
use daos_client::{Error, Result};
use daos_types::{Der, Durability};

impl Pool {
    /// Gives it another label; durable at return. Handles that others hold go on telling the old one.
    pub fn set_label(&self, label: &str) -> Result<()> {
        let _open = self.system.guard.enter()?;
        let _tables = self.system.tables.lock();
        let name = tables::pool_name(&self.uuid.0);
        relabel(&self.system, &name, &self.uuid.0, self.row()?, label, tables::pool_label_name)?;
        label.clone_into(&mut self.label.lock());
        Ok(())
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
        relabel(&pool.system, &name, &self.uuid.0, self.row()?, label, |label| {
            tables::cont_label_name(&pool.uuid.0, label)
        })?;
        label.clone_into(&mut self.label.lock());
        Ok(())
    }
}

fn relabel(
    system: &System,
    name: &[u8],
    uuid: &[u8; 16],
    row: Row,
    label: &str,
    label_name: impl Fn(&str) -> Vec<u8>,
) -> Result<()> {
    tables::check(label, &row.props)?;
    if row.label == label {
        return Ok(());
    }
    if system.row(&label_name(label))?.is_some() {
        return Err(Error::new(Der::Exist, format!("label {label:?} is taken")).hint("choose another label"));
    }
    let old = label_name(&row.label);
    let row = Row { label: label.to_owned(), ..row };
    let store = &system.guard.store;
    let commit = || {
        let mut tx = store.begin()?;
        tx.set_service_row(name, Some(&row.encode()))?;
        tx.set_service_row(&old, None)?;
        tx.set_service_row(&label_name(label), Some(uuid))?;
        store.wait(tx.commit()?, Durability::Synced)
    };
    store.with_room(commit).map_err(told)
}
