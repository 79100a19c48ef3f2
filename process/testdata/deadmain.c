// deadmain ignores SIGTERM and ends its first thread, while another one runs on for ten minutes. It
// prints its process id before the first thread ends.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *stay(void *unused) {
	(void)unused;
	sleep(600);
	return NULL;
}

int main(void) {
	pthread_t thread;
	signal(SIGTERM, SIG_IGN);
	if (pthread_create(&thread, NULL, stay, NULL) != 0)
		return 1;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	pthread_exit(NULL);
}
