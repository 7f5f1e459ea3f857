use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    runtime::Builder,
};
use wireloom::Status;

/// Of a clock that runs ahead while all wait.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a server says to a client that sends these pieces and then no more. The connection has ended by then, and all that it
/// began.
pub fn converse<'a>(
    connect: impl FnOnce() -> Result<DuplexStream, Status>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("there is room for a runtime");
    let mut answer = Vec::new();
    runtime.block_on(async {
        let io = connect().expect("the server is valid");
        let (mut reader, mut writer) = tokio::io::split(io);
        let write = async {
            for piece in pieces {
                // The server may have ended the connection.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _ = writer.shutdown().await;
        };
        let read = reader.read_to_end(&mut answer);
        let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(write, read) });
        let (_, read) = ended.await.expect("a connection ends with its client");
        read.expect("memory does not fail");
    });

    // What it began ends with its connection.
    let metrics = runtime.metrics();
    runtime.block_on(async { tokio::time::sleep(PATIENCE).await });
    assert_eq!(metrics.num_alive_tasks(), 0);
    answer
}
