/* What fork, exec and exit cost on this host, to be taken from the time of a command. */
int main(void) { return 0; }
