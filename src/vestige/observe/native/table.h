/* A set or table of 64-bit keys. Keys are hashes: at a million names, one chance in thirty million that two are one. */

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct table {
    uint64_t *keys;
    uint64_t *values;
    size_t used, room;
};

static inline uint64_t mixed(uint64_t x) {
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ULL;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ULL;
    x ^= x >> 32;
    return x;
}

static inline uint64_t hash_of(const char *text, size_t length, uint64_t seed) {
    uint64_t state = mixed(seed ^ (length * 0x9E3779B97F4A7C15ULL)), word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        state = mixed(state ^ word) + 0x9E3779B97F4A7C15ULL;
    }
    word = 0;
    memcpy(&word, text, length);
    state = mixed(state ^ word);
    return state ? state : 1; /* 0 marks an empty place */
}

static inline uint64_t hash_of_pair(uint64_t one, uint64_t other) {
    uint64_t state = mixed(mixed(one + 0x9E3779B97F4A7C15ULL) ^ other);
    return state ? state : 1;
}

static inline uint64_t *find(const struct table *table, uint64_t key) {
    if (!table->room)
        return NULL;
    for (size_t at = key & (table->room - 1);; at = (at + 1) & (table->room - 1)) {
        if (table->keys[at] == key)
            return &table->values[at];
        if (!table->keys[at])
            return NULL;
    }
}

static inline bool grow(struct table *table) {
    size_t room = table->room ? table->room * 2 : 1024;
    uint64_t *keys = calloc(room, sizeof *keys), *values = malloc(room * sizeof *values);
    if (!keys || !values) {
        free(keys);
        free(values);
        return false;
    }
    for (size_t old = 0; old < table->room; old++) {
        if (!table->keys[old])
            continue;
        size_t at = table->keys[old] & (room - 1);
        while (keys[at])
            at = (at + 1) & (room - 1);
        keys[at] = table->keys[old];
        values[at] = table->values[old];
    }
    free(table->keys);
    free(table->values);
    table->keys = keys;
    table->values = values;
    table->room = room;
    return true;
}

/* Without memory nothing is remembered, and more is noted than need be. */
static inline void put(struct table *table, uint64_t key, uint64_t value) {
    uint64_t *place = find(table, key);
    if (place) {
        *place = value;
        return;
    }
    if (table->used * 2 >= table->room && !grow(table) && table->used + 1 >= table->room)
        return;
    size_t at = key & (table->room - 1);
    while (table->keys[at])
        at = (at + 1) & (table->room - 1);
    table->keys[at] = key;
    table->values[at] = value;
    table->used++;
}

static inline bool has(const struct table *table, uint64_t key) {
    uint64_t *place = find(table, key);
    return place && *place;
}
