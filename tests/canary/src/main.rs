//! Breaks the bans on purpose; see `run`.

fn main() {
    let now = std::time::SystemTime::now();
    println!("{:?}", now.elapsed().unwrap());
}
