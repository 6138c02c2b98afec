//! Attributes: a user's names and values, of a pool or a container. Each is a row of the tables.

use crate::calls::Inside;
use crate::pool::{Container, Pool};
use crate::route::told;
use crate::tables;
use daos_client::{ContainerObjects as _, Error, Result};
use daos_types::{Der, Durability, limits};

/// The form of a row; the length of the name, the name and the value follow it.
const VERSION: u8 = 1;

/// Bytes of names and values that one call sets: they are one record of the log.
const SET_BYTES_MAX: usize = 4 << 20;

/// The attributes of a pool or container.
#[derive(Debug, Clone)]
pub struct Attributes {
    pool: Pool,
    cont: Option<Container>,
}

impl Pool {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes {
        Attributes { pool: self.clone(), cont: None }
    }
}

impl Container {
    /// Its attributes. They have no history, so a snapshot has none.
    pub fn attributes(&self) -> Result<Attributes> {
        if self.check_writable().is_err() {
            return Err(Error::new(Der::Notsupported, "attributes have no history: a snapshot has none")
                .hint("ask the container itself"));
        }
        Ok(Attributes { pool: self.pool.clone(), cont: Some(self.clone()) })
    }
}

impl Attributes {
    /// Sets several, all or none; durable at return.
    pub fn set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        for (name, value) in items {
            check(name, value)?;
        }
        let bytes: usize = items.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > SET_BYTES_MAX {
            let message =
                format!("{bytes} bytes of attributes at a time; at most {SET_BYTES_MAX} are allowed");
            return Err(Error::new(Der::Rec2big, message).hint("set fewer at a time"));
        }
        let _open = self.enter()?;
        let _tables = self.pool.system.tables.lock();
        self.check_there()?;
        for (name, _) in items {
            // Looks whether the row is another name's.
            self.look_up(name)?;
        }
        let store = &self.pool.system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            for (name, value) in items {
                tx.set_service_row(&self.row_name(name), Some(&encode(name, value)))?;
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)
    }

    /// The values of several, in their order; `None` for one that is not there.
    pub fn get(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        let _open = self.enter()?;
        self.check_there()?;
        names.iter().map(|name| self.look_up(name)).collect()
    }

    /// The names, in the order of their bytes.
    pub fn names(&self) -> Result<Vec<String>> {
        let _open = self.enter()?;
        self.check_there()?;
        let rows = self.pool.system.rows(&self.prefix())?;
        let mut names = Vec::with_capacity(rows.len());
        for (_, row) in &rows {
            names.push(decode(row).ok_or_else(unknown)?.0.to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes several in one step; durable at return. Answers how many were there.
    pub fn remove(&self, names: &[&str]) -> Result<usize> {
        let _open = self.enter()?;
        let _tables = self.pool.system.tables.lock();
        self.check_there()?;
        let mut there = Vec::new();
        for name in names {
            if self.look_up(name)?.is_some() {
                there.push(self.row_name(name));
            }
        }
        there.sort_unstable();
        there.dedup();
        let store = &self.pool.system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            for row in &there {
                tx.set_service_row(row, None)?;
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        Ok(there.len())
    }

    fn enter(&self) -> Result<Inside<'_>> {
        self.pool.system.guard.enter()
    }

    /// Refuses what was destroyed.
    fn check_there(&self) -> Result<()> {
        match &self.cont {
            Some(cont) => cont.row().map(drop),
            None => self.pool.row().map(drop),
        }
    }

    fn prefix(&self) -> Vec<u8> {
        tables::attr_prefix(&self.pool.uuid.0, self.cont.as_ref().map(|cont| &cont.uuid.0))
    }

    fn row_name(&self, name: &str) -> Vec<u8> {
        // Names may be longer than keys of the index.
        let hash = twox_hash::XxHash3_128::oneshot(name.as_bytes());
        [&self.prefix()[..], &hash.to_be_bytes()].concat()
    }

    fn look_up(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(row) = self.pool.system.row(&self.row_name(name))? else { return Ok(None) };
        let (stored, value) = decode(&row).ok_or_else(unknown)?;
        if stored != name {
            let message =
                format!("attribute name {name:?} has the hash of {stored:?}, which is there already");
            return Err(Error::new(Der::Exist, message).hint("choose another name"));
        }
        Ok(Some(value.to_vec()))
    }
}

fn check(name: &str, value: &[u8]) -> Result<()> {
    let (name_max, value_max) = (limits::ATTR_NAME_LEN_MAX, limits::ATTR_VALUE_LEN_MAX);
    if !(1..=name_max).contains(&name.len()) {
        let message = format!("an attribute's name has 1 to {name_max} bytes, this one {}", name.len());
        return Err(Error::new(Der::Inval, message).hint("choose a shorter name"));
    }
    if value.len() > value_max {
        let message = format!("an attribute's value has at most {value_max} bytes, this one {}", value.len());
        return Err(Error::new(Der::Rec2big, message).hint("keep it in a key-value store"));
    }
    Ok(())
}

pub(crate) fn encode(name: &str, value: &[u8]) -> Vec<u8> {
    [&[VERSION], &(name.len() as u16).to_le_bytes()[..], name.as_bytes(), value].concat()
}

pub(crate) fn decode(row: &[u8]) -> Option<(&str, &[u8])> {
    let [VERSION, low, high, rest @ ..] = row else { return None };
    let (name, value) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
    Some((std::str::from_utf8(name).ok()?, value))
}

fn unknown() -> Error {
    Error::new(Der::DfInval, "a row of an attribute has no known form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, System};

    #[test]
    fn rows_come_back_and_others_are_refused() {
        for (name, value) in [("a", &b""[..]), (&"x".repeat(511), b"value")] {
            assert_eq!(decode(&encode(name, value)), Some((name, value)));
        }
        for row in [&[][..], &[VERSION, 1], &[VERSION, 1, 0], &[2, 0, 0], &[VERSION, 1, 0, 0xFF]] {
            assert_eq!(decode(row), None);
        }
    }

    #[test]
    fn a_name_with_the_hash_of_another_is_refused_and_changes_nothing() {
        let system = System::in_memory(&Options::default()).unwrap();
        let attributes = system.pool_create("p", b"").unwrap().attributes();
        let mut tx = system.guard.store.begin().unwrap();
        tx.set_service_row(&attributes.row_name("a"), Some(&encode("b", b"1"))).unwrap();
        tx.commit().unwrap();
        assert_eq!(attributes.set(&[("c", b"2"), ("a", b"2")]).unwrap_err().der, Der::Exist);
        assert_eq!(attributes.get(&["a"]).unwrap_err().der, Der::Exist);
        assert_eq!(attributes.names().unwrap(), ["b"]);
    }
}
