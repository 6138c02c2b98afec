use super::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

type Act = Box<dyn FnMut() + Send>;

struct Job {
    number: usize,
    order: Order,
    bytes: usize,
    result_bytes: usize,
    act: Act,
    error: Option<Error>,
}

impl Operation for Job {
    fn run(&mut self) {
        (self.act)();
    }

    fn fail(&mut self, error: Error) {
        self.error = Some(error);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn result_bytes(&self) -> usize {
        self.result_bytes
    }

    fn order(&self) -> Order {
        self.order
    }
}

fn job(number: usize, order: Order, act: impl FnMut() + Send + 'static) -> Job {
    Job { number, order, bytes: 10, result_bytes: 0, act: Box::new(act), error: None }
}

fn queue(operations_max: usize) -> EventQueue<Job> {
    EventQueue::new(EventQueueOptions { operations_max, bytes_max: 100, workers: 2 }).unwrap()
}

fn taken(queue: &EventQueue<Job>, job: Job) {
    assert!(matches!(queue.submit(job), Ok(Submitted::Taken)));
}

/// Waits by the descriptor until so many are done.
fn drained(queue: &EventQueue<Job>, count: usize) -> Vec<Job> {
    let mut done = Vec::new();
    while done.len() < count {
        let mut fds = [PollFd::from_borrowed_fd(queue.fd(), PollFlags::IN)];
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut fds, Some(&patience)).unwrap(), 1, "{} of {count} are done", done.len());
        done.extend(queue.drain().unwrap());
    }
    done
}

/// A job that waits until it is let go.
fn blocked(number: usize, order: Order) -> (Job, std::sync::mpsc::Sender<()>) {
    let (go, wait): (_, Receiver<()>) = channel();
    (job(number, order, move || wait.recv().unwrap_or_default()), go)
}

#[test]
fn all_come_back_and_each_batch_makes_the_descriptor_readable() {
    let queue = queue(1000);
    for round in 0..50 {
        for number in 0..10 {
            taken(&queue, job(number, Order::Any, || ()));
        }
        let mut numbers: Vec<usize> = drained(&queue, 10).iter().map(|job| job.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "round {round}");
        assert_eq!(queue.in_flight().unwrap(), 0);
    }
}

#[test]
fn a_full_queue_gives_back_what_it_cannot_take() {
    let full = queue(2);
    let (first, go) = blocked(0, Order::Any);
    taken(&full, first);
    taken(&full, job(1, Order::Any, || ()));
    let Ok(Submitted::Full(back)) = full.submit(job(2, Order::Any, || ())) else { panic!("taken") };
    go.send(()).unwrap();
    drained(&full, 2);
    taken(&full, back);
    drained(&full, 1);

    let large = queue(1000);
    let (first, go) = blocked(0, Order::Any);
    taken(&large, first);
    let huge = Job { bytes: 101, ..job(1, Order::Any, || ()) };
    let Ok(Submitted::Full(huge)) = large.submit(huge) else { panic!("taken") };
    go.send(()).unwrap();
    drained(&large, 1);
    // Alone it is taken, however large.
    taken(&large, huge);
    drained(&large, 1);
}

#[test]
fn workers_wait_until_large_results_are_drained() {
    let queue =
        EventQueue::new(EventQueueOptions { operations_max: 1000, bytes_max: 3 * RESULT_BYTES, workers: 2 });
    let queue = queue.unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let ran = Arc::clone(&ran);
        let count = move || {
            ran.fetch_add(1, Ordering::Relaxed);
        };
        taken(&queue, Job { result_bytes: RESULT_BYTES, ..job(number, Order::Any, count) });
    }
    std::thread::sleep(Duration::from_millis(50));
    // Three fill the bound; with the fourth, and one that the other worker had begun, both wait.
    assert!((4..=5).contains(&ran.load(Ordering::Relaxed)));
    drained(&queue, 100);
    taken(&queue, Job { result_bytes: 100 * RESULT_BYTES, ..job(100, Order::Any, || ()) });
    // Nobody drains any more, and yet it ends.
    assert!(queue.close(Duration::from_secs(10)));
}

#[test]
fn the_last_waits_for_those_before_it() {
    let queue = queue(1000);
    let (slow, go) = blocked(0, Order::Alone);
    taken(&queue, slow);
    let (tell, told) = channel();
    taken(&queue, job(1, Order::Last, move || tell.send(()).unwrap()));
    assert!(told.recv_timeout(Duration::from_millis(30)).is_err());
    go.send(()).unwrap();
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    drained(&queue, 2);
}

#[test]
fn a_panic_is_the_result_of_its_operation_alone() {
    let queue = queue(1000);
    taken(&queue, job(0, Order::Any, || panic!("planted")));
    taken(&queue, job(1, Order::Any, || ()));
    let mut done = drained(&queue, 2);
    done.sort_by_key(|job| job.number);
    assert_eq!(done[0].error.as_ref().map(|error| error.der), Some(Der::Misc));
    assert!(done[1].error.is_none());
}

#[test]
fn closing_waits_for_all_and_refuses_later_ones() {
    let queue = queue(1000);
    let (slow, go) = blocked(0, Order::Any);
    taken(&queue, slow);
    assert!(!queue.close(Duration::from_millis(20)));
    assert_eq!(queue.submit(job(1, Order::Any, || ())).map(|_| ()).unwrap_err().der, Der::NoHdl);
    go.send(()).unwrap();
    assert!(queue.close(Duration::MAX));
    assert!(queue.close(Duration::ZERO));
    assert_eq!(drained(&queue, 1).len(), 1);
}

#[test]
fn what_was_not_begun_can_be_taken_back() {
    let queue = queue(1000);
    let (go, wait): (_, Receiver<()>) = channel();
    let (begin, begun) = channel();
    let slow = move || {
        begin.send(()).unwrap_or_default();
        wait.recv().unwrap_or_default();
    };
    taken(&queue, job(0, Order::Alone, slow));
    taken(&queue, job(1, Order::Last, || panic!("was abandoned")));
    begun.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(queue.abandon().iter().map(|job| job.number).collect::<Vec<_>>(), [1]);
    go.send(()).unwrap();
    assert!(queue.close(Duration::from_secs(10)));
    assert_eq!(queue.in_flight().unwrap(), 1);
}
