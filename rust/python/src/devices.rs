//! Devices: formatted, looked at, named for an engine.

use crate::errors::OrRaise;
use daos_client::{Error, Result};
use daos_embed::{DeviceIdentity, Devices, Roles, format_device, inspect_device, parse_uuid};
use daos_types::{Der, PoolId};
use pyo3::prelude::*;
use std::path::PathBuf;

/// The UUID of their storage; of each, a path and roles.
pub(crate) type DeviceList = (String, Vec<(PathBuf, Vec<String>)>);

/// What a device says: UUID of its storage, system, which of how many, roles, bytes.
type Said = (String, String, u32, u32, Vec<String>, u64);

fn roles_of(names: &[String]) -> Result<Roles> {
    names.iter().try_fold(Roles::NONE, |roles, name| {
        let wrong = || Error::new(Der::Inval, format!("there is no role {name:?}")).hint("data, meta or wal");
        Ok(roles.and(Roles::from_name(name).ok_or_else(wrong)?))
    })
}

/// The devices of a list.
pub(crate) fn devices_of((uuid, list): DeviceList, system: &str) -> Result<Devices> {
    let list: Result<Vec<_>> = list.into_iter().map(|(path, roles)| Ok((path, roles_of(&roles)?))).collect();
    Ok(Devices { uuid: parse_uuid(&uuid)?, system: system.to_owned(), list: list? })
}

/// Makes a device.
#[allow(clippy::needless_pass_by_value, reason = "Python hands it over")]
#[pyfunction]
#[pyo3(signature = (path, *, uuid, system, index, count, roles))]
pub(crate) fn device_format(
    py: Python<'_>,
    path: PathBuf,
    uuid: &str,
    system: &str,
    index: u32,
    count: u32,
    roles: Vec<String>,
) -> PyResult<()> {
    let format = || {
        let (uuid, roles) = (parse_uuid(uuid)?, roles_of(&roles)?);
        format_device(&path, &DeviceIdentity { uuid, system: system.to_owned(), index, count, roles })
    };
    py.detach(format).or_raise(py)
}

/// What the superblock of a device says; `None` where there is none.
#[allow(clippy::needless_pass_by_value, reason = "Python hands it over")]
#[pyfunction]
pub(crate) fn device_inspect(py: Python<'_>, path: PathBuf) -> PyResult<Option<Said>> {
    let found = py.detach(|| inspect_device(&path)).or_raise(py)?;
    Ok(found.map(|(identity, size)| {
        let DeviceIdentity { uuid, system, index, count, roles } = identity;
        let roles = roles.to_string().split(',').map(str::to_owned).collect();
        (PoolId(uuid).to_string(), system, index, count, roles, size)
    }))
}
