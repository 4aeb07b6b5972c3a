//! What is secret leaves no trace: in no file, environment, argument or log while it is used, in no dump where a program breaks
//! off, and in no memory either once Larder is sealed or the account is signed out.

mod crash;
mod files;
mod memory;
mod sign_out;
