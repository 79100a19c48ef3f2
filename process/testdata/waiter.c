// waiter blocks in a system call that waits for its standard input, or for something else, as its
// argument says.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

static void *reading(void *unused) {
	char c;
	return (void *)(long)read(0, &c, 1);
}

int main(int argc, char **argv) {
	const char *how = argv[1];
	char c;
	int other[2];
	if (argc < 2 || pipe(other) < 0)
		return 2;
	int in = strstr(how, "-other") ? other[0] : 0;
	if (strstr(how, "-high"))
		in = dup2(in, 700);
	if (!strncmp(how, "readv", 5)) {
		struct iovec v = {&c, 1};
		return readv(in, &v, 1);
	}
	if (!strncmp(how, "read", 4))
		return read(in, &c, 1);
	if (!strncmp(how, "splice", 6))
		return splice(in, NULL, other[1], NULL, 1, 0);
	if (!strncmp(how, "poll", 4) || !strncmp(how, "ppoll", 5)) {
		struct pollfd fds[] = {{-1, POLLIN, 0}, {other[1], 0, 0}, {in, strstr(how, "-urgent") ? POLLPRI : POLLIN, 0}};
		return *how == 'p' && how[1] == 'p' ? ppoll(fds, 3, NULL, NULL) : poll(fds, 3, strstr(how, "-timeout") ? 1000000 : -1);
	}
	if (!strncmp(how, "select", 6) || !strncmp(how, "pselect", 7)) {
		fd_set set;
		FD_ZERO(&set);
		FD_SET(in, &set);
		return *how == 's' ? select(in + 1, &set, NULL, NULL, NULL) : pselect(in + 1, NULL, NULL, &set, NULL, NULL);
	}
	if (!strncmp(how, "epoll", 5)) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLET};
		int ep = epoll_create1(0);
		epoll_ctl(ep, EPOLL_CTL_ADD, in, &e);
		return epoll_wait(ep, &e, 1, -1);
	}
	if (!strcmp(how, "thread")) {
		pthread_t t;
		pthread_create(&t, NULL, reading, NULL);
		return pause();
	}
	if (!strcmp(how, "tty"))
		return read(open("/dev/tty", O_RDONLY), &c, 1);
	return pause();
}
