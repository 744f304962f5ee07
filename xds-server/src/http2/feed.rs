//! A connection fed with whatever: by the fuzzer's program, and by a test.

use super::{Http2, OUTPUT, Room, STREAMS, Taken, WINDOW};

/// Half of what is fed says how the rest is cut, and what is done with what comes of it. Whatever it is, a bounded amount of anything
/// piles up.
pub(crate) fn feed(data: &[u8]) {
    let mut http = Http2::new();
    let mut open = Vec::new();
    let mut rest = data;
    while let Some((step, after)) = rest.split_first() {
        let (piece, after) = after.split_at(usize::from(*step).min(after.len()));
        rest = after;
        http.receive(piece);
        while let Some((id, _)) = http.accept() {
            open.push(id);
        }
        if let Some(id) = open.first().copied() {
            match step % 5 {
                0 => drop(http.take(id)),
                1 if http.room(id) == Room::Free => {
                    http.send(id, vec![*step; 100 * usize::from(*step)].into());
                }
                2 => http.finish(id, None),
                3 => {
                    http.let_go(id);
                    open.remove(0);
                }
                _ => http.part(),
            }
        }
        http.advance();
        let unread: usize = http.exchanges.iter().map(|e| e.data.len()).sum();
        assert!(unread <= WINDOW as usize);
        assert!(http.exchanges.iter().filter(|e| !e.over).count() <= STREAMS);
        assert!(http.out.len() < OUTPUT + (32 << 10), "{}", http.out.len());
        let length = http.out.len();
        http.wrote(length / 2 + usize::from(*step).min(length - length / 2));
        if http.is_over() && http.is_full() {
            return;
        }
    }
    http.end();
    assert!(open.iter().all(|id| http.take(*id) == Taken::Gone));
}
