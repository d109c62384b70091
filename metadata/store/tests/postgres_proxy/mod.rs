//! A proxy before a server that holds back one message: its client sees the connection end, the server sees it stay.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// What was held back, and the connection that it is for.
type Held = Arc<Mutex<Option<(Vec<u8>, TcpStream)>>>;

pub struct Proxy {
    /// The database, through the proxy.
    pub url: String,
    held: Held,
}

impl Proxy {
    /// Before the server of `url`. Holds back the first message that contains `marked`.
    pub async fn start(url: &str, marked: &'static [u8]) -> Proxy {
        let after = url.find('@').expect("a user") + 1;
        let end = after + url[after..].find('/').expect("a database");
        let server = url[after..end].to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address");
        let held = Held::default();
        let shared = held.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(&server).await.expect("the server");
                tokio::spawn(pass(client, upstream, marked, shared.clone()));
            }
        });
        Proxy { url: format!("{}{own}{}", &url[..after], &url[end..]), held }
    }

    /// Delivers what was held back; what the server says until `end` is in it, or for ten seconds: the held bytes may begin with the end of an earlier
    /// request, which is answered by itself.
    pub async fn deliver(&self, end: &[u8]) -> Vec<u8> {
        let (bytes, mut upstream) = self.held.lock().await.take().expect("something was held back");
        upstream.write_all(&bytes).await.expect("the server still listens");
        let mut answer = Vec::new();
        let read = async {
            while !answer.windows(end.len()).any(|part| part == end) {
                if upstream.read_buf(&mut answer).await.expect("an answer") == 0 {
                    return;
                }
            }
        };
        // Whoever asked looks at what there is.
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await;
        answer
    }
}

async fn pass(mut client: TcpStream, mut upstream: TcpStream, marked: &[u8], held: Held) {
    let (mut out, mut back) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut out) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let bytes = &out[..length];
                    let mut held = held.lock().await;
                    if held.is_none() && bytes.windows(marked.len()).any(|part| part == marked) {
                        *held = Some((bytes.to_vec(), upstream));
                        return;
                    }
                    if upstream.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            },
            read = upstream.read(&mut back) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) if client.write_all(&back[..length]).await.is_err() => return,
                Ok(_) => {}
            },
        }
    }
}
