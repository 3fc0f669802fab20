#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        char *id = strstr(line, "\"id\":"), *bmi = strstr(line, "\"bmi\":["), *s5 = strstr(line, "\"s5\":[");
        printf("{\"id\":%ld,", id ? atol(id + 5) : -1);
        if (bmi && s5) {
            char before = '[';
            printf("\"columns\":{\"progression\":");
            for (bmi += 7, s5 += 6; before != ']'; before = *bmi++, s5++) {
                double x = strtod(bmi, &bmi), z = strtod(s5, &s5);
                printf("%c%.17g", before, 152.94615870263704 + 669.6525964460959 * x + 609.7326831950464 * z);
            }
            printf("]}}\n");
        } else {
            printf("\"error\":\"bmi and s5 are needed\"}\n");
        }
        fflush(stdout);
    }
    return 0;
}
