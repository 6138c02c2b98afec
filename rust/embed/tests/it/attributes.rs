//! Attributes and labels through the public interface.

use crate::Place;
use daos_embed::{Options, System};
use daos_types::{Der, ScrubChange};

#[test]
fn attributes_last_and_go_with_what_has_them() {
    let place = Place::new("attributes");
    let long = "x".repeat(511);
    let system = System::open(&place.0, &Options::default()).unwrap();
    let pool = system.pool_create("p", b"").unwrap();
    let cont = pool.container_create("c", b"").unwrap();
    pool.attributes().set(&[("a", b"1"), ("b", b""), (&long, b"3")]).unwrap();
    cont.attributes().unwrap().set(&[("a", &vec![7; 64 << 10])]).unwrap();
    drop((cont, pool, system));

    let system = System::open(&place.0, &Options::default()).unwrap();
    let pool = system.pool_open("p").unwrap();
    let cont = pool.container_open("c").unwrap();
    assert_eq!(pool.attributes().names().unwrap(), ["a", "b", &long]);
    let values = pool.attributes().get(&["b", "nope", &long, "a"]).unwrap();
    assert_eq!(values, [Some(vec![]), None, Some(b"3".to_vec()), Some(b"1".to_vec())]);
    assert_eq!(cont.attributes().unwrap().get(&["a"]).unwrap(), [Some(vec![7; 64 << 10])]);
    assert_eq!(pool.attributes().remove(&["a", "nope", "b", "a"]).unwrap(), 2);
    assert_eq!(pool.attributes().names().unwrap(), [&*long]);

    let attributes = cont.attributes().unwrap();
    pool.container_destroy("c").unwrap();
    assert_eq!(attributes.names().unwrap_err().der, Der::ContNonexist);
    assert_eq!(attributes.set(&[("a", b"1")]).unwrap_err().der, Der::ContNonexist);
    let attributes = pool.attributes();
    system.pool_destroy("p").unwrap();
    assert_eq!(attributes.get(&["a"]).unwrap_err().der, Der::Nonexist);
    assert_eq!(attributes.remove(&["a"]).unwrap_err().der, Der::Nonexist);
    assert!(system.pool_create("p", b"").unwrap().attributes().names().unwrap().is_empty());
}

#[test]
fn what_is_no_attribute_is_refused_with_all_that_comes_with_it() {
    let system = System::in_memory(&Options::default()).unwrap();
    let attributes = system.pool_create("p", b"").unwrap().attributes();
    for (name, len, der) in
        [("", 1, Der::Inval), (&*"x".repeat(512), 1, Der::Inval), ("b", 65_537, Der::Rec2big)]
    {
        assert_eq!(attributes.set(&[("a", b"1"), (name, &vec![0; len])]).unwrap_err().der, der);
    }
    assert!(attributes.names().unwrap().is_empty());
}

#[test]
fn a_snapshot_has_no_attributes() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
    let then = cont.at(cont.snapshot_create(None).unwrap().epoch).unwrap();
    assert_eq!(then.attributes().unwrap_err().der, Der::Notsupported);
}

#[test]
fn labels_change_and_stay_unique() {
    let place = Place::new("labels");
    let system = System::open(&place.0, &Options::default()).unwrap();
    let pool = system.pool_create("p", b"props").unwrap();
    system.pool_create("taken", b"").unwrap();
    let cont = pool.container_create("c", b"more").unwrap();
    pool.container_create("taken", b"").unwrap();
    cont.alloc_oids(7).unwrap();
    for label in ["taken", "", &"x".repeat(128)] {
        let der = if label == "taken" { Der::Exist } else { Der::Inval };
        assert_eq!(pool.change(Some(label), ScrubChange::default()).unwrap_err().der, der);
        assert_eq!(cont.set_label(label).unwrap_err().der, der);
    }
    pool.change(Some("p"), ScrubChange::default()).unwrap();
    pool.change(Some("q"), ScrubChange::default()).unwrap();
    cont.set_label("d").unwrap();
    assert_eq!((pool.label(), cont.label()), ("q".to_owned(), "d".to_owned()));
    let uuids = (pool.uuid(), cont.uuid());
    drop((cont, pool, system));

    let system = System::open(&place.0, &Options::default()).unwrap();
    assert_eq!(system.pool_open("p").unwrap_err().der, Der::Nonexist);
    let pool = system.pool_open("q").unwrap();
    assert_eq!(pool.container_open("c").unwrap_err().der, Der::Nonexist);
    let cont = pool.container_open("d").unwrap();
    assert_eq!((pool.uuid(), cont.uuid()), uuids);
    assert_eq!((pool.props(), cont.props()), (&b"props"[..], &b"more"[..]));
    assert_eq!(cont.alloc_oids(1).unwrap(), 8);
    pool.container_create("c", b"").unwrap();
    system.pool_create("p", b"").unwrap();
    pool.container_destroy("d").unwrap();
    assert_eq!(cont.set_label("e").unwrap_err().der, Der::ContNonexist);
    system.pool_destroy("q").unwrap();
    assert_eq!(pool.change(Some("e"), ScrubChange::default()).unwrap_err().der, Der::Nonexist);
}
