/* SPDX-License-Identifier: Apache-2.0 */
/* Receives one TCP stream through the C API and says who copied its bytes.
 *   c_receive [PORT [PLUGIN]]    then, elsewhere:  nc -N 127.0.0.1 PORT < file */
#include <inttypes.h>
#include <landfall/landfall.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(const char* what, const landfall_error_t* error) {
  fprintf(stderr, "%s: %s: %s\n", what, error->op, error->text);
  if (error->remedy[0] != '\0') fprintf(stderr, "try: %s\n", error->remedy);
  return 1;
}

static void print_verdict(const landfall_verdict_t* verdict) {
  uint32_t i;
  for (i = 0; i < 4; ++i)
    printf("%s %" PRIu64 " bytes\n", landfall_placement_name(i), verdict->bytes[i]);
  for (i = 0; i < 4 && verdict->reasons[i].code != 0; ++i) {
    landfall_reason_t reason = LANDFALL_REASON_INIT;
    if (landfall_reason_lookup(verdict->reasons[i].code, &reason) == LANDFALL_ERRC_ok)
      printf("because: %s\n", reason.text);
  }
}

/* Answers 0 once the stream has ended and its flow is closed. */
static int receive(landfall_receiver_t* receiver, landfall_error_t* error) {
  landfall_completion_t batch[32];
  landfall_verdict_t verdict = LANDFALL_VERDICT_INIT;
  uint64_t sum = 0;
  for (;;) {
    size_t count = 0, i;
    if (landfall_receiver_wait(receiver, batch, 32, -1, &count, error) != LANDFALL_ERRC_ok)
      return complain("wait", error);
    for (i = 0; i < count; ++i) {
      const landfall_completion_t* c = &batch[i];
      if (c->kind == LANDFALL_COMPLETION_DATA) {
        const unsigned char* bytes = landfall_buffer_data(c->buffer);
        const uint32_t length = landfall_buffer_length(c->buffer);
        uint32_t k;
        for (k = 0; bytes != NULL && k < length; ++k) sum += bytes[k];
        landfall_buffer_drop(c->buffer); /* any thread may do this, and later */
      } else if (c->kind == LANDFALL_COMPLETION_END_OF_STREAM) {
        landfall_flow_verdict(c->flow, &verdict);
        landfall_flow_close(c->flow, 0);
      } else if (c->kind == LANDFALL_COMPLETION_FAILED) {
        fprintf(stderr, "the flow failed: %s\n", landfall_errc_text(c->error));
        return 1;
      } else if (c->kind == LANDFALL_COMPLETION_CLOSED) {
        print_verdict(&verdict);
        printf("sum of all bytes: %" PRIu64 "\n", sum);
        return 0;
      }
    }
  }
}

int main(int argc, char** argv) {
  landfall_error_t error = LANDFALL_ERROR_INIT;
  landfall_region_options_t region_options = LANDFALL_REGION_OPTIONS_INIT;
  landfall_context_t* context = NULL;
  landfall_region_t* region = NULL;
  landfall_group_t* group = NULL;
  landfall_decision_t* decision = NULL;
  uint16_t port = argc > 1 ? (uint16_t)atoi(argv[1]) : 0;
  int status = 1;

  region_options.size_bytes = 16u << 20;
  if (landfall_context_create(NULL, &context, &error) != LANDFALL_ERRC_ok)
    return complain("context", &error);
  if (argc > 2 && landfall_context_load(context, argv[2], &error) != LANDFALL_ERRC_ok)
    status = complain("plug-in", &error);
  else if (landfall_region_allocate(context, &region_options, &region, &error) != LANDFALL_ERRC_ok)
    status = complain("memory", &error);
  else if (landfall_group_open(context, NULL, &region, &group, &decision, &error) !=
           LANDFALL_ERRC_ok)
    status = complain("group", &error);
  else if (landfall_group_listen(group, "127.0.0.1", port, NULL, &port, &error) != LANDFALL_ERRC_ok)
    status = complain("listen", &error);
  else {
    printf("listening on 127.0.0.1:%u by %s\n", (unsigned)port, landfall_decision_chosen(decision));
    fflush(stdout);
    status = receive(landfall_group_receiver(group, 0), &error);
  }
  if (decision != NULL && group == NULL) fputs(landfall_decision_describe(decision), stderr);
  landfall_decision_free(decision);
  landfall_group_free(group);
  landfall_region_free(region);
  landfall_context_destroy(context);
  return status;
}
