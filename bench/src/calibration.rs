//! How fast this machine is right now, so that figures of two days can be compared.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Time for a fixed amount of arithmetic on one core, the shortest of five.
pub(crate) fn arithmetic() -> Duration {
    let work = || {
        let started = Instant::now();
        let mut x = 0x9e37_79b9_7f4a_7c15_u64;
        for i in 0..20_000_000_u64 {
            x = (x ^ i).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31);
        }
        std::hint::black_box(x);
        started.elapsed()
    };
    (0..5).map(|_| work()).min().unwrap_or_default()
}

/// Time for one message of 300 bytes to go to another task over loopback and back, the middle of 2,000.
///
/// # Errors
/// Loopback does not work.
pub(crate) async fn round_trip() -> anyhow::Result<Duration> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut buffer = [0_u8; 300];
        while socket.read_exact(&mut buffer).await.is_ok() {
            socket.write_all(&buffer).await?;
        }
        anyhow::Ok(())
    });
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut buffer = [7_u8; 300];
    let mut times = Vec::with_capacity(2_000);
    for _ in 0..2_000 {
        let started = Instant::now();
        socket.write_all(&buffer).await?;
        socket.read_exact(&mut buffer).await?;
        times.push(started.elapsed());
    }
    drop(socket);
    echo.await??;
    Ok(crate::report::median(times))
}
