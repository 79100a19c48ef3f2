// foreign changes its user to root, for which its file is set-user-ID, prints its process id, and runs
// until the file in its argument is removed.
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc != 2 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		return 1;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	while (access(argv[1], F_OK) == 0)
		usleep(5000);
	return 0;
}
