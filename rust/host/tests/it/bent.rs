//! Bytes that change on their way, where the network leaves it to the container's sums to see that.

use crate::{Beside, serve};
use daos_client::{ContainerObjects as _, NewContainer};
use daos_net::serving::Identity;
use daos_net::tcp::Tcp;
use daos_net::{Limits, Link, Listening, Moment, Result, Service, Transport};
use daos_types::{ChecksumKind, Checksums, Der, ObjectId, ObjectType};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Reads that bring more than this at once are of payloads.
const LONG: usize = 20_000;

/// Connections of which so many more long reads of a client bring a bit that is another.
#[derive(Debug, Default)]
struct Bent {
    tcp: Tcp,
    left: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct BentLink(Box<dyn Link>, Arc<AtomicUsize>);

impl Transport for Bent {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        Ok(Box::new(BentLink(self.tcp.connect(address, timeout)?, Arc::clone(&self.left))))
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        self.tcp.listen(address, me, limits, service)
    }

    fn now(&self) -> Moment {
        self.tcp.now()
    }
}

impl Link for BentLink {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(into)?;
        let less = |left: usize| left.checked_sub(1);
        if len > LONG && self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            into[len / 2] ^= 4;
        }
        Ok(len)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(parts)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        self.0.wait(readable, writable, until)
    }

    fn now(&self) -> Moment {
        self.0.now()
    }

    fn finish(&self) {
        self.0.finish();
    }

    fn close(&self) {
        self.0.close();
    }
}

#[test]
fn what_changes_on_its_way_is_fetched_once_more_before_it_is_called_damaged() {
    let left = Arc::<AtomicUsize>::default();
    let transport: Arc<dyn Transport> = Arc::new(Bent { left: Arc::clone(&left), ..Bent::default() });
    let served = serve(&transport, "127.0.0.1:0", 1, Beside::Nothing);
    let pool = Arc::clone(&served.system).pool_create("tank", b"\x80").unwrap();
    for (nth, kind) in
        [Some(ChecksumKind::Crc32), Some(ChecksumKind::Sha256), Some(ChecksumKind::Crc16), None]
            .into_iter()
            .enumerate()
    {
        let checksums = Checksums { kind, piece_size: 32 << 10, server_verifies: false };
        let label = format!("c{nth}");
        let new = NewContainer { label: &label, props: b"\x80", checksums, scrub_disabled: false };
        let container = pool.container_create(&new).unwrap();
        let oid = ObjectId::generate(ObjectType::Array, 1, 1, 0, 1);
        let array = container.array_create(oid, 1, None).unwrap();
        let data: Vec<u8> = (0..3 << 20).map(|at: usize| ((at * 31) >> 4) as u8).collect();
        array.write(0, &data).unwrap();
        let read = |bent| {
            left.store(bent, Ordering::SeqCst);
            let mut found = vec![0; data.len()];
            let result = array.read(0, &mut found, None);
            let unbent = left.swap(0, Ordering::SeqCst);
            (result.map(|()| found == data).map_err(|error| (error.der, error.message)), unbent)
        };
        assert_eq!(read(0).0, Ok(true), "{kind:?}");
        assert_eq!(read(1), (Ok(true), 0), "{kind:?}: a bit that changed once");
        let (always, _) = read(usize::MAX);
        // By the container's sums, or by the network's where those are none or weak, it is never called right.
        let (der, message) = always.unwrap_err();
        let strong = kind.is_some_and(ChecksumKind::is_strong);
        assert_eq!((der, message.contains("that were written")), (Der::Csum, strong), "{kind:?}: {message}");
        assert_eq!(read(0).0, Ok(true), "{kind:?}: afterwards");
    }
}
