module user {
    requires dev.runhv;
}
