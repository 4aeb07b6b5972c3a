//! Asks for an access token; says what kind it is, and nothing of it.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

fn main() -> Result<(), larder_client::Problem> {
    let profile = larder_client::profile()?;
    let mut larder = larder_client::Client::connect(&profile, larder_client::Start::IfNeeded)?;
    let token = larder.token("work", Some(60))?;
    println!("{} {} {}", token.token_type, token.access_token.expose().len(), token.account);
    Ok(())
}
