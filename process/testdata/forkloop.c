// forkloop forks and exits in a loop, so that its process id changes all the time. It ignores
// SIGTERM and SIGHUP, and ends by itself after a minute.
#include <signal.h>
#include <time.h>
#include <unistd.h>

int main(void) {
	time_t end = time(0) + 60;
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	while (time(0) < end) {
		if (fork() != 0)
			_exit(0);
		setsid();
	}
	return 0;
}
